"""One entry point, one file of its name, one test that names it, one line in the reference."""

import importlib.util
import re
from importlib.resources import files
from pathlib import Path

import pytest

from inferflow_core.catalog import DATA_KINDS, HOME

TESTS = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.installed


@pytest.fixture(scope="module")
def ours(installed):
    entries = [entry for entry in installed.entries() if entry.distribution == HOME]
    assert len(entries) > 30
    return entries


def test_every_entry_has_a_file_of_its_name(ours):
    for entry in ours:
        module, _, attribute = entry.value.partition(":")
        stem = entry.name.replace("-", "_")
        if entry.kind in DATA_KINDS:
            assert attribute == f"{stem}.toml"
            assert (files(module) / attribute).is_file(), entry
        else:
            assert module.rpartition(".")[2] == stem
            assert importlib.util.find_spec(module), entry


@pytest.mark.parametrize("kind", sorted(DATA_KINDS))
def test_every_data_file_is_an_entry(ours, kind):
    entries = [entry.value.split(":") for entry in ours if entry.kind == kind]
    for module in {module for module, _ in entries}:
        present = {file.name for file in files(module).iterdir() if file.name.endswith(".toml")}
        assert present == {name for owner, name in entries if owner == module}


def test_every_entry_is_named_in_a_test(ours):
    files = [file for file in TESTS.rglob("*.py") if file != Path(__file__)]
    named = {file.stem.removeprefix("test_") for file in files}
    named.update(*(re.findall(r"[\w.-]+", file.read_text("utf-8")) for file in files))
    missing = [e for e in ours if not named & {e.name, e.value.rpartition(":")[2]}]
    assert missing == []
