"""The commands on an encoder: `embed` in detail, and what the others make of one."""

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bert

import inferflow_core

TEXTS = ["the sky is blue", "a small river"]


@pytest.fixture(scope="module")
def vectors(tiny: Path) -> Any:
    """Of TEXTS, from Python."""
    with inferflow_core.load(tiny / "encoder", backend="numpy") as model:
        return model.embed(TEXTS)


@pytest.fixture(autouse=True)
def folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFERFLOW_RUN_BACKEND", "numpy")
    monkeypatch.setenv("INFERFLOW_BACKEND", "numpy")
    return tmp_path


class TestEmbed:
    def test_a_line_of_numbers_a_text(self, inferflow: Any, vectors: Any) -> None:
        done = inferflow("embed", "encoder", *TEXTS)
        assert (done.code, done.err) == (0, "")
        rows = [[float(number) for number in line.split()] for line in done.out.splitlines()]
        np.testing.assert_allclose(rows, vectors, rtol=1e-5)

    def test_the_first_word_may_be_a_text(self, inferflow: Any) -> None:
        expected = inferflow("embed", "encoder", *TEXTS).out
        assert inferflow("embed", "--spec", "encoder", *TEXTS).out == expected

    def test_lines_that_are_piped_in(self, inferflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(TEXTS) + "\n"))
        assert inferflow("embed", "encoder").out == inferflow("embed", "encoder", *TEXTS).out

    def test_nothing_to_embed(self, inferflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
        done = inferflow("embed", "encoder")
        assert (done.code, done.out) == (2, "")
        assert "there is no text" in done.err

    def test_json(self, inferflow: Any, vectors: Any) -> None:
        words = ("embed", "encoder", *TEXTS, "--dimensions", "5", "--similarity", "--json")
        report = json.loads(inferflow(*words).out)
        assert (report["model"], report["dimensions"]) == ("encoder", 5)
        assert [each["text"] for each in report["embeddings"]] == TEXTS
        assert [each["tokens"] for each in report["embeddings"]] == [6, 5]
        short = vectors[:, :5] / np.linalg.norm(vectors[:, :5], axis=1, keepdims=True)
        np.testing.assert_allclose([e["embedding"] for e in report["embeddings"]], short, 1e-5)
        np.testing.assert_allclose(report["similarity"], short @ short.T, 1e-5)

    def test_a_table_of_cosines(self, inferflow: Any, vectors: Any) -> None:
        done = inferflow("embed", "encoder", *TEXTS, "--similarity")
        cosine = f"{vectors[0] @ vectors[1]:.3f}"
        assert [line.split() for line in done.out.splitlines()] == [
            ["1.000", cosine, *TEXTS[0].split()],
            [cosine, "1.000", *TEXTS[1].split()],
        ]

    def test_files(self, inferflow: Any, folder: Path, vectors: Any) -> None:
        done = inferflow("embed", "encoder", *TEXTS, "--output", "v.npy")
        assert (done.code, done.out, done.err) == (0, "", "v.npy: 2 x 32\n")
        assert np.array_equal(np.load(folder / "v.npy"), vectors)
        assert inferflow("embed", "encoder", *TEXTS, "--output", "v.jsonl").code == 0
        lines = [json.loads(line) for line in (folder / "v.jsonl").read_text("utf-8").splitlines()]
        assert [line["text"] for line in lines] == TEXTS
        assert np.array_equal(np.float32([line["embedding"] for line in lines]), vectors)
        assert inferflow("embed", "encoder", "sky", "--output", "no/v.npy").code == 2
        assert not list(folder.glob(".v.*"))

    def test_long_texts(self, inferflow: Any) -> None:
        done = inferflow("embed", "encoder", "sky " * 40)
        assert (done.code, done.out) == (1, "")
        assert "has 42 tokens; this model reads at most 24" in done.err
        assert inferflow("embed", "encoder", "sky " * 40, "--truncate").code == 0

    def test_prompts(self, inferflow: Any, folder: Path) -> None:
        tiny_bert.write_sentence_files(folder / "encoder", prompts={"query": "a small "})
        asked = inferflow("embed", "encoder", "stone", "--prompt", "query")
        assert asked.out == inferflow("embed", "encoder", "a small stone").out
        assert "no prompt 'qery'" in inferflow("embed", "encoder", "x", "--prompt", "qery").err

    def test_a_decoder_has_none(self, inferflow: Any) -> None:
        done = inferflow("embed", "checkpoint", "sky")
        assert (done.code, done.out) == (1, "")
        assert "no head 'embedding'" in done.err


class TestRun:
    def test_the_best_words_for_each_mask(self, inferflow: Any, tiny: Path) -> None:
        text = "the [MASK] is [MASK] ."
        done = inferflow("run", "encoder", text)
        assert (done.code, done.err) == (0, "")
        with inferflow_core.load(tiny / "encoder", backend="numpy") as model:
            expected = [
                "\n".join(f"{fill.probability:.4f}  {fill.text}" for fill in mask)
                for mask in model.fill_mask(text)
            ]
        assert done.out == "\n\n".join(expected) + "\n"

    def test_a_text_without_a_mask(self, inferflow: Any) -> None:
        done = inferflow("run", "encoder", "the sky")
        assert (done.code, done.out) == (1, "")
        assert "the text has no [MASK]" in done.err

    def test_a_conversation(self, inferflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = io.StringIO()
        terminal.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdin", terminal)
        done = inferflow("run", "encoder")
        assert (done.code, done.out) == (2, "")
        assert "has no conversations" in done.err

    def test_options_of_writing(self, inferflow: Any) -> None:
        done = inferflow("run", "encoder", "the [MASK]", "--max-tokens", "3", "--top-p", "0.5")
        assert done.code == 2
        assert "--max-tokens, --top-p is about writing" in done.err

    def test_without_a_head_for_masks(self, inferflow: Any, tmp_path: Path) -> None:
        tiny_bert.write_checkpoint(tmp_path / "plain", ("pooled",))
        done = inferflow("run", "plain", "the [MASK]")
        assert done.code == 2
        assert "inferflow embed" in done.err


def test_bench_measures_reading(inferflow: Any) -> None:
    report = json.loads(inferflow("bench", "encoder", "--batch", "1,3", "--json").out)
    for size, result in zip((1, 3), report["results"], strict=True):
        assert (result["batch"], result["prompt"], result["gen"]) == (size, tiny_bert.CONTEXT, 0)
        assert result["texts_per_s"] == pytest.approx(size / result["total_s"])
        tokens = size * tiny_bert.CONTEXT
        assert result["read_tokens_per_s"] == pytest.approx(tokens / result["total_s"])
    table = inferflow("bench", "encoder").out
    assert table.split()[:2] == ["batch", "read_tokens_per_s"]


@pytest.mark.parametrize("command", ["plan", "inspect", "check", "spec init", "spec show"])
def test_commands_that_look(inferflow: Any, command: str) -> None:
    done = inferflow(*command.split(), "encoder")
    assert done.code == 0, done.err
    assert done.out + done.err


def test_inspect_names_the_keys_that_nobody_reads(inferflow: Any, tmp_path: Path) -> None:
    """What the runtime reads of texts and labels is read."""
    prompts = {"prompts": {"query": "a "}, "default_prompt_name": "query"}
    tiny_bert.write_sentence_files(tmp_path / "encoder", **prompts)
    config = json.loads((tmp_path / "encoder" / "config.json").read_text("utf-8"))
    labels = {"id2label": {"0": "no", "1": "yes"}, "problem_type": "regression", "odd": 1}
    tiny_bert.write_json(tmp_path / "encoder" / "config.json", config | labels)
    report = json.loads(inferflow("inspect", "encoder", "--json").out)
    assert report["unread_config"] == ["odd", "pad_token_id"]


@pytest.mark.parametrize("command", ["eval logits", "eval perplexity"])
def test_there_are_no_logits(inferflow: Any, command: str) -> None:
    options = {"eval logits": ["--ids", "1,2", "--out", "x.npz"]}
    given = options.get(command, ["--file", "text.txt", "--window", "8"])
    done = inferflow(*command.split(), "encoder", *given)
    assert done.code == 1
    assert "no output 'logits'" in done.err
