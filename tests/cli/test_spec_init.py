"""`inferflow spec init`: a spec that works, or what has no place."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("model", ["checkpoint", "model.gguf"])
@pytest.mark.parametrize("out", ["mine.toml", "specs/mine.toml"])
def test_what_it_writes_is_the_same_model(
    inferflow: Any, folder: Path, model: str, out: str
) -> None:
    (folder / "specs").mkdir()
    done = inferflow("spec", "init", model, "--out", out)
    assert (done.code, done.out) == (0, "")
    text = (folder / out).read_text("utf-8")
    written = tomllib.loads(text)
    assert set(written) == {"spec", "extends", "weights"}
    assert set(written["weights"]) == {"path"}
    assert not Path(written["weights"]["path"]).is_absolute()
    assert "model.hidden = 64" in text
    assert "${config.num_attention_heads} <- checkpoint" in text
    assert "no tokenizer" not in text
    assert "layer.1" not in text
    mine = json.loads(inferflow("spec", "show", out, "--json").out)
    same = json.loads(inferflow("spec", "show", model, "--json").out)
    assert mine["tables"]["model"] == same["tables"]["model"]
    assert inferflow("check", out).code == 0


def test_llama2c_and_a_path_from_the_root(inferflow: Any, shared: Path) -> None:
    stories = shared / "data" / "stories260K" / "stories260K.bin"
    report = json.loads(inferflow("spec", "init", str(stories), "--json").out)
    assert (report["family"], report["out"]) == ("llama", None)
    assert tomllib.loads(report["text"])["weights"] == {"path": stories.as_posix()}
    assert "${config.hidden_act} <- llama [config]" in report["text"]


def test_without_a_tokenizer_it_says_so(inferflow: Any, folder: Path) -> None:
    for file in (folder / "checkpoint").glob("token*"):
        file.unlink()
    done = inferflow("spec", "init", "checkpoint")
    assert done.code == 0
    assert "# There is no tokenizer" in done.out
    Path("mine.toml").write_text(done.out, "utf-8")
    assert inferflow("check", "mine.toml").code == 0


def test_nothing_is_replaced_unless_asked(inferflow: Any) -> None:
    Path("mine.toml").write_text("precious")
    done = inferflow("spec", "init", "checkpoint", "--out", "mine.toml")
    assert (done.code, "--force" in done.err) == (2, True)
    assert Path("mine.toml").read_text() == "precious"
    assert inferflow("spec", "init", "checkpoint", "--out", "mine.toml", "--force").code == 0
    assert tomllib.loads(Path("mine.toml").read_text("utf-8"))["extends"] == "llama"


class TestAnUnknownFamily:
    """A checkpoint whose `model_type` no spec matches."""

    @pytest.fixture(autouse=True)
    def rename(self, folder: Path) -> None:
        path = folder / "checkpoint" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "lama"}))

    def test_the_nearest_are_named(self, inferflow: Any, folder: Path) -> None:
        done = inferflow("spec", "init", "checkpoint", "--out", "mine.toml")
        assert (done.code, done.out) == (4, "")
        assert "model_type 'lama'" in done.err
        assert "Did you mean 'llama'?" in done.err
        assert "llama 21 of 21" in done.err.replace("\n", " ")
        assert not (folder / "mine.toml").exists()

    def test_a_family_that_fits_can_be_forced(self, inferflow: Any) -> None:
        forced = ["--family", "llama", "--out", "mine.toml"]
        assert inferflow("spec", "init", "checkpoint", *forced).code == 0
        assert inferflow("check", "mine.toml").code == 0

    def test_a_family_that_does_not_exist(self, inferflow: Any) -> None:
        done = inferflow("spec", "init", "checkpoint", "--family", "llma")
        assert (done.code, "Did you mean 'llama'?" in done.err) == (4, True)


def test_a_forced_family_says_what_has_no_place(inferflow: Any, folder: Path, shared: Path) -> None:
    phi = str(shared / "oracles" / "families" / "phi_2" / "model")
    done = inferflow("spec", "init", phi, "--family", "llama", "--out", "mine.toml")
    assert (done.code, done.out) == (5, "")
    assert "model.final_layernorm.weight" in done.err
    assert "layers.0.ffn.gate.weight" in done.err
    config = folder / "checkpoint" / "config.json"
    numbers = json.loads(config.read_text())
    del numbers["intermediate_size"]
    config.write_text(json.dumps(numbers))
    done = inferflow("spec", "init", "checkpoint", "--out", "mine.toml")
    assert (done.code, "intermediate_size" in done.err) == (3, True)
    assert not (folder / "mine.toml").exists()


@pytest.mark.parametrize(
    ("path", "code", "word"),
    [("nothing", 2, "does not exist"), ("text.txt", 5, "no loader"), ("a.toml", 2, "spec already")],
)
def test_what_is_no_checkpoint(inferflow: Any, path: str, code: int, word: str) -> None:
    Path("a.toml").write_text('spec = 1\nextends = "llama"\n')
    done = inferflow("spec", "init", path)
    assert (done.code, done.out) == (code, "")
    assert word in done.err
