"""Fixtures for every test."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferflow_core.catalog import Catalog

sys.path.insert(0, str(Path(__file__).parent))
import tiny_bert
import tiny_llama
import tiny_m2m

SHARED = Path(os.environ.get("INFERFLOW_SHARED") or Path(__file__).resolve().parents[2] / "shared")
"""Tests that were copied away from the checkout find the data by the variable."""

KEPT = ("INFERFLOW_SHARED", "INFERFLOW_CACHE", "INFERFLOW_KERNEL_CACHE", "INFERFLOW_TEST_SMOLLM2")


@pytest.fixture(scope="session", autouse=True)
def no_settings() -> Iterator[None]:
    """What whoever runs the tests has set for themselves must not decide them."""
    with pytest.MonkeyPatch.context() as patched:
        for name in os.environ:
            if name.startswith("INFERFLOW_") and name not in KEPT:
                patched.delenv(name)
        for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
            patched.delenv(name, raising=False)
        patched.setenv("INFERFLOW_CONFIG", os.devnull)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Processes of tests share a machine, and threads that spin there wait for each other. How many
    there are makes no difference to a bit: tests that ask so say how many they want."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("inferflow_backends.cpu.threads.default_threads", lambda: 1)
        yield


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
    """A folder with a model that says words, `checkpoint/` and `model.gguf`, one that reads them,
    `encoder/`, one that translates them, `translator/`, and a `text.txt`."""
    folder = tiny_llama.write_all(tmp_path_factory.mktemp("tiny"))
    tiny_bert.write_checkpoint(folder / "encoder")
    tiny_m2m.write_checkpoint(folder / "translator")
    return folder
