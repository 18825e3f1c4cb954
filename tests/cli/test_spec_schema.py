"""`inferflow spec schema`: what `check` takes it takes, what it can see it refuses."""

import json
import tomllib
from collections.abc import Callable
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from inferflow_server.cli import spec_schema
from inferflow_server.cli.schema import schema

from inferflow_core.catalog import HOME, Catalog, Entry
from inferflow_core.errors import PluginError, SpecError
from inferflow_core.spec import check, parse_spec


@pytest.fixture(scope="module")
def installed() -> Catalog:
    """Without what whoever runs the tests has installed besides."""
    return Catalog([entry for entry in Catalog().entries() if entry.distribution == HOME])


@pytest.fixture(scope="module")
def validates(installed: Catalog) -> Callable[[str], bool]:
    notes: list[str] = []
    made = schema(installed, notes.append)
    assert notes == []
    jsonschema.Draft202012Validator.check_schema(made)
    return lambda text: jsonschema.Draft202012Validator(made).is_valid(tomllib.loads(text))


def checks(text: str, catalog: Catalog) -> bool:
    try:
        check(parse_spec(text, catalog), catalog)
    except (SpecError, PluginError):
        return False
    return True


def test_every_shipped_spec(installed: Catalog, validates: Any) -> None:
    for name in installed.names("spec"):
        file: Traversable = installed.get("spec", name)
        assert validates(file.read_text("utf-8")), name


def test_worked_specs_of_installed_names(installed: Catalog, validates: Any, shared: Path) -> None:
    """Those that `check` takes; the others name what is not installed, which it refuses too."""
    files = sorted((shared / "specs" / "families").glob("*.toml"))
    texts = {file.stem: file.read_text("utf-8") for file in files}
    taken = {name for name, text in texts.items() if checks(text, installed)}
    assert {"llama", "mistral"} <= taken
    assert {name for name, text in texts.items() if validates(text)} == taken


PARENT = 'spec = 1\nextends = "llama"\n'
RIGHT = [
    "",
    '[model]\nnorm = { use = "rms_norm", eps = 1 }',
    '[model]\nnorm = { eps = "${config.eps?}" }',
    '[model]\nnorm = "${none}"',
    '[model.layer]\nmixer_norm = { case = { first = 2 }, of = { true = "${model.norm}" } }',
    "[model.layer.mixer]\nwindow = 1024",
    '[model.layer.mixer]\nwindow = { case = ["a", "b"], of = { a = 8 }, else = "${none}" }',
    '[model.layer.ffn]\nhidden = { mul = [4, { div = ["${config.hidden_size}", 2] }] }',
    '[model.layer.ffn]\ncase = { every = 2, from = "${config.x}" }\n'
    'else = { use = "gated_mlp", act = "swish" }',
    '[model.layer.mixer.position]\nscaling = { rope_type = "linear", factor = 2.0 }',
    '[model.head]\ntied = "auto"',
    "[generation]\nstop = [1, 2]",
    "[generation]\nstop = 1",
    '[run]\nbackend = "auto"\nsamplers = [{ use = "top_k", top_k = 3 }]',
    '[tokenizer]\nuse = "auto"\nbos = true\nprefix = ["a"]',
    '[weights]\npath = "x.gguf"\nnames = "gguf"',
    '[config]\nanything = ["at", { all = 1 }]',
]
WRONG = [
    '[model]\nnorm = { use = "rms_nrm" }',
    '[model]\nnorm = { use = "rope" }',
    '[model]\nnorm = { use = "rms_norm", epz = 1.0 }',
    '[model]\nnorm = { use = "rms_norm", eps = "small" }',
    '[model]\nnorm = { use = "rms_norm", eps = true }',
    '[model]\nnorm = { use = "${config.norm}" }',
    '[model]\nnorm = "rms_norm"',
    "[model]\ndepth = 2.5",
    '[model]\ndepth = "${modl.depth}"',
    '[model]\nuse = "decoder_only"',
    "[model.layer.mixer]\nheds = 3",
    '[model.layer.ffn]\nact = "silly"',
    "[model.layer.ffn]\nhidden = { mul = [1, 2, 3] }",
    "[model.layer.ffn]\nhidden = { pow = [1, 2] }",
    '[model.layer.ffn]\nhidden = { case = "${config.x}", off = { a = 1 } }',
    '[model.layer.ffn]\nhidden = { case = "${config.x}" }',
    "[model.layer.ffn]\nhidden = { case = { first = 1, of = 2 }, else = 3 }",
    '[model.layer.ffn]\nhidden = { case = "${config.x}", of = { a = "wide" } }',
    '[model.head]\ntied = "maybe"',
    "[run]\ncontxt = 5",
    '[run]\nbackend = "nmpy"',
    "[run]\ncontext = true",
    '[run]\nsamplers = { use = "top_k" }',
    '[tokenizer]\nprefix = "a"',
    '[weights]\nnames = "hf_lama"',
    "[runs]\ncontext = 5",
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_right(installed: Catalog, validates: Any, text: str) -> None:
    assert checks(PARENT + text, installed)
    assert validates(PARENT + text)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong(installed: Catalog, validates: Any, text: str) -> None:
    assert not checks(PARENT + text, installed)
    assert not validates(PARENT + text)


@pytest.mark.parametrize(
    "text",
    [
        'extends = "llama"',
        'spec = 2\nextends = "llama"',
        "spec = 1",
        'spec = 1\nextends = "llma"',
        'spec = 1\nextends = "llama"\nmatch = [{}]',
        'spec = 1\nextends = "llama"\nmatch = [{ model_type = "${config.x}" }]',
    ],
)
def test_a_wrong_head(installed: Catalog, validates: Any, text: str) -> None:
    assert not checks(text, installed)
    assert not validates(text)


def test_a_definition_says_what_an_editor_shows(installed: Catalog) -> None:
    definitions = schema(installed, print)["$defs"]
    norm = definitions["norm.rms_norm"]
    assert norm["properties"]["use"] == {"const": "rms_norm"}
    assert norm["properties"]["eps"]["default"] == 1e-5
    assert norm["properties"]["eps"]["description"]
    assert "numpy" in definitions["name_of_backend_or_auto"]["anyOf"][0]["enum"]


def test_a_broken_plugin_is_left_out_with_a_note(
    installed: Catalog, inferflow: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "exits_xyz.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "plain_xyz.py").write_text("class Norm: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    broken = [
        Entry("norm", f"xyz.{name}", f"{name}_xyz:Norm", "xyz", "1")
        for name in ("missing", "exits", "plain")
    ]
    catalog = Catalog([*installed.entries(), *broken])
    monkeypatch.setattr(spec_schema, "registered", lambda: (catalog, None))
    done = inferflow("spec", "schema")
    assert done.code == 0
    assert "xyz" not in done.out
    notes = done.err.splitlines()
    assert [line.split(":")[1] for line in notes] == [
        f" norm 'xyz.{name}'" for name in ("exits", "missing", "plain")
    ]


def test_out_is_written_whole(inferflow: Any, tmp_path: Path) -> None:
    out = tmp_path / "schema.json"
    done = inferflow("spec", "schema", "--out", str(out))
    assert (done.code, done.out) == (0, "")
    assert out.read_text("utf-8") == inferflow("spec", "schema").out
    assert json.loads(out.read_text("utf-8"))["$schema"].endswith("2020-12/schema")
    assert inferflow("spec", "schema", "--out", str(tmp_path / "no" / "x.json")).code == 2
    assert [file.name for file in tmp_path.iterdir()] == ["schema.json"]
