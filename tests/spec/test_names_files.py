"""A name map beside the spec: found by a path that the spec's own file writes out, by no other."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import inferflow_core
from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError, SpecError
from inferflow_core.spec import parse_spec, read_spec
from inferflow_core.spec.names_files import NamesFile

MAP = 'names = 1\nname = "mine"\nextends = "hf_llama"\n[map]\n"odd.{p}" = "norm.{p}"\n'


@pytest.fixture
def folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(tiny / "checkpoint", tmp_path / "checkpoint")
    (tmp_path / "mine.toml").write_text(MAP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, names: str, name: str = "model.toml", more: str = "") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    head = 'spec = 1\nextends = "llama"\n'
    path.write_text(f'{head}{more}[weights]\npath = "checkpoint"\nnames = {names}\n')
    return path


def refused(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read_spec(path, Catalog())
    (problem,) = caught.value.problems
    assert problem.path.startswith("weights.names")
    return problem.message


@pytest.mark.parametrize(
    "names",
    [
        '"./mine.toml"',
        '{ hf = "./mine.toml" }',
        '{ hf = { case = "${config.model_type}", of = { llama = "./mine.toml" }, else = "gguf" } }',
    ],
)
def test_the_same_logits_by_a_map_beside_the_spec(folder: Path, names: str) -> None:
    with inferflow_core.load("checkpoint", backend="numpy") as model:
        expected = model.logits([[1, 2, 3]])[0]
    with inferflow_core.load(written(folder, names), backend="numpy") as model:
        assert model.plan.names == "./mine.toml"
        assert (model.logits([[1, 2, 3]])[0] == expected).all()


def test_it_is_looked_up_beside_the_spec_not_where_one_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(folder, '"./maps/mine.toml"')
    (folder / "maps").mkdir()
    (folder / "mine.toml").rename(folder / "maps" / "mine.toml")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    with inferflow_core.load(path, backend="numpy") as model:
        assert isinstance(model.plan.names, NamesFile)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("./other.toml", "is not there"),
        ("./mine.txt", "is no TOML file"),
        ("../mine.toml", "below the spec's folder"),
        ("./inner/../../mine.toml", "below the spec's folder"),
        ("/etc/mine.toml", "below the spec's folder"),
        ("./link.toml", "below the spec's folder"),
    ],
)
def test_paths_that_are_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, names: str, words: str
) -> None:
    (folder / "mine.txt").write_text(MAP)
    outside = tmp_path_factory.mktemp("outside") / "secret.toml"
    outside.write_text(MAP)
    (folder / "link.toml").symlink_to(outside)
    inner = written(folder, json.dumps(names), "specs/model.toml")
    shutil.copy(folder / "mine.txt", folder / "specs")
    shutil.copy(folder / "link.toml", folder / "specs", follow_symlinks=False)
    assert words in refused(inner)


def test_a_missing_file_names_its_neighbours(folder: Path) -> None:
    assert "mine.toml" in refused(written(folder, '"./mein.toml"'))


def test_nobody_else_can_name_a_file(folder: Path) -> None:
    """Not an override, not a text, not what a reference brings from the checkpoint."""

    def opened(reference: str | Path, **options: Any) -> None:
        inferflow_core.load(reference, backend="numpy", **options).close()

    with pytest.raises(InferflowError, match="no names named"):
        opened("checkpoint", set={"weights.names": "./mine.toml"})
    with pytest.raises(SpecError, match="no names named"):
        opened(written(folder, '"gguf"'), set=["weights.names=./mine.toml"])
    config = folder / "checkpoint" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"map": "./mine.toml"}))
    with pytest.raises(SpecError, match="no names named"):
        opened(written(folder, '"${config.map}"'))
    text = 'spec = 1\nextends = "llama"\n[weights]\nnames = "./mine.toml"\n'
    spec = parse_spec(text, Catalog())
    assert "NamesFile" not in repr(spec.root)
    catalog = Catalog()
    (folder / "packaged.toml").write_text(text + 'path = "checkpoint"\n')
    catalog.add("spec", "xyz.packaged", folder / "packaged.toml")
    with pytest.raises(SpecError, match="no names named"):
        opened("xyz.packaged", catalog=catalog)


def test_problems_of_the_map_say_where(folder: Path) -> None:
    path = written(folder, '"./mine.toml"')
    (folder / "mine.toml").write_text(MAP.replace('"mine"', '"other"'))
    with pytest.raises(SpecError, match=r"'other', but the map stands in './mine.toml'"):
        inferflow_core.load(path)
    (folder / "mine.toml").write_text("names = 1\n" + "a." * 300 + "b = 1\n")
    with pytest.raises(SpecError, match="more than 200 dots"):
        inferflow_core.load(path)
    (folder / "mine.toml").write_bytes(b"\xff" * 10)
    with pytest.raises(SpecError, match="cannot be read"):
        inferflow_core.load(path)
