"""GPT-NeoX, which the page "A new model in a TOML file" brings from nothing: its two files, as they
stand on the page, against the class of `transformers`."""

import importlib
import runpy
from pathlib import Path
from typing import Any

import pytest
from checkpoints import SMALL, compare, each_size, prompts, save
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "a-new-model.md"
COPIED = "these tests were copied out of their checkout"
OTHERS = {"rms_norm_eps", "num_key_value_heads"}
"""Keys that this family does not have."""

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason=COPIED)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder, with every file that the page has a title for."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "docs")
    fences = importlib.import_module("fences").fences
    for fence in fences(PAGE.read_text("utf-8")):
        if "title" in fence.options:
            (tmp_path / fence.options["title"]).write_text(fence.text, "utf-8")
    return tmp_path


def checkpoint(folder: Path, seed: int, depth: int, *, parallel: bool = True) -> Any:
    small = {key: value for key, value in SMALL.items() if key not in OTHERS}
    small |= {"num_hidden_layers": depth, "layer_norm_eps": 0.02}
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**small, use_parallel_residual=parallel))
    save(model, folder / "pythia", seed)
    return model


@each_size
@pytest.mark.parametrize("parallel", [True, False])
def test_it_agrees(folder: Path, backend: str, seed: int, depth: int, parallel: bool) -> None:
    model = checkpoint(folder, seed, depth, parallel=parallel)
    compare(folder / "gpt_neox.toml", model, prompts(), backend=backend)


def test_without_groups_it_babbles(folder: Path) -> None:
    """What the page says that shapes cannot see."""
    model = checkpoint(folder, 0, 2)
    names = folder / "hf_gpt_neox.toml"
    text = names.read_text("utf-8")
    line = 'groups = "${config.num_attention_heads}"\n'
    assert line in text
    names.write_text(text.replace(line, ""), "utf-8")
    with pytest.raises(AssertionError, match="off by"):
        compare(folder / "gpt_neox.toml", model, prompts())


def test_the_comparison_of_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the checkpoint that its script makes."""
    (folder / "checkpoint").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / "checkpoint" / name).write_text("{}")
    monkeypatch.chdir(folder)
    runpy.run_path("make_pythia.py")
    runpy.run_path("compare.py")
    assert "largest difference of a logit: " in capsys.readouterr().out
