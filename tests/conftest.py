"""Fixtures for every test."""

import os
from pathlib import Path

import pytest

from inferflow_core.catalog import Catalog

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
