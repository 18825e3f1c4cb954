"""The JSON Schema of the whole vocabulary takes every worked family, case by case."""

import tomllib
from pathlib import Path

import jsonschema
import pytest
from inferflow_server.cli.schema import schema

from inferflow_core.catalog import Catalog


@pytest.mark.installed
def test_every_worked_family(installed: Catalog, shared: Path) -> None:
    notes: list[str] = []
    validator = jsonschema.Draft202012Validator(schema(installed, notes.append))
    assert [note for note in notes if "sampler" not in note] == []
    files = sorted((shared / "specs" / "families").glob("*.toml"))
    assert len(files) > 10
    for file in files:
        table = tomllib.loads(file.read_text("utf-8"))
        wrong = jsonschema.exceptions.best_match(validator.iter_errors(table))
        assert wrong is None, f"{file.name}: {wrong}"
        for path, valid in {"./mine.toml": True, "mine.toml": False, "./mine.txt": False}.items():
            assert validator.is_valid(table | {"weights": {"names": path}}) == valid
        table["model"]["hiden"] = 1
        assert not validator.is_valid(table)
