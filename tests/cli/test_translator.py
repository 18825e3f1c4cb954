"""The commands on a model that translates."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inferflow_server.cli.serve import _example

import inferflow_core


@pytest.fixture(autouse=True)
def folder(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny)


def test_run(inferflow: Any) -> None:
    words = ("run", "translator", "the sky is blue", "--backend", "numpy")
    done = inferflow(*words, "--target-language", "fr", "--stats")
    assert (done.code, done.out) == (0, "le ciel est bleu\n")
    assert "prompt  8 tokens" in done.err
    done = inferflow(*words[:2], "der Wind", "--source-language", "de", "--target-language", "en")
    assert done.out == "the wind\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "name the language"),
        (("--target-language", "fra"), "no language 'fra'. Did you mean 'fr'? It knows de, en, fr"),
        (("--target-language", "fr", "--source-language", "x"), "no language 'x'"),
        (("--target-language", "fr", "--system", "x"), "needs a chat template"),
    ],
)
def test_run_refuses(inferflow: Any, words: Any, says: str) -> None:
    done = inferflow("run", "translator", "the sky", "--backend", "numpy", *words)
    assert (done.code != 0, done.out) == (True, "")
    assert says in done.err
    assert "defect" not in done.err


def test_a_decoder_has_no_languages(inferflow: Any) -> None:
    done = inferflow("run", "model.gguf", "Hello", "--raw", "--target-language", "fr")
    assert "target_language is for models that write what they make of a source" in done.err


def test_a_conversation_translates_line_by_line(
    inferflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["the wind", "/set target_language de", "the wind", "/set"]
    terminal = io.StringIO("\n".join([*lines, "/set target_language x", "the wind", ""]))
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", terminal)
    done = inferflow("run", "translator", "--target-language", "fr", "--no-history")
    assert done.code == 0
    assert done.out == "le vent\nder Wind\n"
    assert "answers each text, alone" in done.err
    assert "target_language de" in done.err
    assert "no language 'x'" in done.err


def test_logits(inferflow: Any, tmp_path: Path) -> None:
    out = str(tmp_path / "out.npz")
    words = ("eval", "logits", "translator", "--backend", "numpy", "--ids", "2,57;2", "--out", out)
    done = inferflow(*words, "--source", "56,21,2;5,2")
    assert done.code == 0, done.err
    stored = np.load(out)
    with inferflow_core.load("translator", backend="numpy") as model:
        expected = model.logits([[2, 57], [2]], encoder=[[56, 21, 2], [5, 2]])
    assert [stored[f"logits_{i}"].tolist() for i in (0, 1)] == [each.tolist() for each in expected]
    assert inferflow(*words).code != 0
    assert "one for each" in inferflow(*words, "--source", "5").err


def test_perplexity_is_refused(inferflow: Any) -> None:
    done = inferflow("eval", "perplexity", "translator", "--file", "text.txt", "--window", "8")
    assert done.code == 2
    assert "what it makes of a source" in done.err


def test_bench(inferflow: Any) -> None:
    words = ("bench", "translator", "--backend", "numpy", "--batch", "1,3", "--json")
    done = inferflow(*words, "--prompt", "40", "--gen", "4")
    assert [result["batch"] for result in json.loads(done.out)["results"]] == [1, 3]
    assert inferflow(*words, "--prompt", "256", "--gen", "2").code == 0
    done = inferflow(*words, "--prompt", "257", "--gen", "2")
    assert done.code == 2
    assert "beyond the context, 256" in done.err


def test_plan_counts_both_caches(inferflow: Any) -> None:
    report = json.loads(inferflow("plan", "translator", "--backend", "numpy", "--json").out)
    # float32 keys and values: the decoder's own; the encoder's own and what the decoder reads.
    assert report["cache_token_bytes"] == 2 * 64 * 4
    assert report["source_token_bytes"] == 2 * 2 * 64 * 4
    assert report["cache_sequence_bytes"] == 256 * 3 * 2 * 64 * 4
    text = inferflow("plan", "translator", "--backend", "numpy").out
    assert "512 bytes a token, 1.0 kB a token of its source" in text


@pytest.mark.parametrize("command", ["check", "inspect", "plan", "spec init", "spec show"])
def test_looking_at_it(inferflow: Any, command: str) -> None:
    done = inferflow(*command.split(), "translator")
    assert done.code == 0, done.err


def test_tokenize(inferflow: Any) -> None:
    def ids(*words: str) -> str:
        return inferflow("tokenize", "translator", "le vent", "--ids", *words).out

    assert ids("--language", "fr").startswith("57,")
    assert ids("--language", "fr")[3:] == ids()[3:]
    for words, says in (
        (("--language", "es"), "known: de, en, fr"),
        (("--language", "fr", "--no-special"), "around a text"),
    ):
        assert says in inferflow("tokenize", "translator", "le", *words).err
    assert "no languages" in inferflow("tokenize", "checkpoint", "le", "--language", "fr").err


@pytest.mark.parametrize(
    ("name", "route"), [("translator", "/v1/completions"), ("checkpoint", "/v1/chat/completions")]
)
def test_the_line_to_paste_fits_the_model(name: str, route: str) -> None:
    with inferflow_core.load(name, backend="numpy") as model:
        found, body = _example(model)
    assert found == route
    assert body.get("target_language") == ("fr" if name == "translator" else None)
