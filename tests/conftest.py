"""Fixtures for every test."""

import os
import sys
from pathlib import Path

import pytest

from inferflow_core.catalog import Catalog

sys.path.insert(0, str(Path(__file__).parent))
import tiny_llama

SHARED = Path(os.environ.get("INFERFLOW_SHARED") or Path(__file__).resolve().parents[2] / "shared")
"""Tests that were copied away from the checkout find the data by the variable."""


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference models and data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference data in ../shared, which is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def installed() -> Catalog:
    """The catalog of what is installed."""
    return Catalog()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that says words, `checkpoint/` and `model.gguf`, and a `text.txt`."""
    return tiny_llama.write_all(tmp_path_factory.mktemp("tiny"))
