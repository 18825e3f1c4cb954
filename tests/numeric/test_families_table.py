"""tests/families.toml says what the checkpoints are."""

import json
import re
from pathlib import Path

import pytest
from oracles import ORACLES, TABLE, Oracle, suffix_of

import inferflow_core

WRITTEN = {
    "st": "safetensors",
    "st_sharded": "safetensors, sharded",
    "bin": "bin",
    "bin_sharded": "bin, sharded",
    "bin_legacy": "bin, legacy pickle",
}


def test_every_checkpoint_has_its_row(shared: Path) -> None:
    assert set(ORACLES) == {path.name for path in (shared / "oracles" / "families").iterdir()}
    assert len(ORACLES) == 31


@pytest.mark.parametrize("oracle", ORACLES.values(), ids=lambda oracle: oracle.name)
def test_a_row_is_true(oracle: Oracle, shared: Path) -> None:
    folder = shared / "oracles" / "families" / oracle.name
    told = json.loads((folder / "ref" / "reference.json").read_text("utf-8"))
    assert (oracle.reference, oracle.derived) == (told["reference_class"], told["derived"])
    assert list(oracle.forms) == [WRITTEN[form] for form in told["formats"]]
    for form in oracle.forms:
        files = len(list((folder / "model").glob(f"*.{suffix_of(form)}")))
        assert (files > 1) == ("sharded" in form)
    with inferflow_core.load(folder / "model", backend="numpy") as model:
        assert model.plan.name == oracle.family
        assert type(model.plan.model).__module__ == f"inferflow_blocks.{oracle.network}"


def test_files_of_other_formats_are_there(shared: Path) -> None:
    folders = {path.name for path in (shared / "oracles" / "formats").iterdir()}
    assert {"gguf_llama", "gguf_kquants"} <= TABLE["files"].keys() & folders
    assert {f"llama2c_{name}" for name in TABLE["files"]["llama2c"]["names"]} <= folders


def test_every_class_in_the_table_is_compared() -> None:
    """That what is compared is in the table, `listed` of tests/parity/checkpoints.py asks."""
    files = (Path(__file__).parents[1] / "parity").glob("*.py")
    text = "\n".join(file.read_text("utf-8") for file in files)
    for family, classes in TABLE["parity"]["classes"].items():
        for name in classes:
            stem = re.split("For[A-Z]|LMHead|MTModel|Model$", name)[0]
            assert re.search(rf'\b{name}\b|"{stem}"', text), f"{family}: {name}"
    assert TABLE["parity"]["gguf"]
