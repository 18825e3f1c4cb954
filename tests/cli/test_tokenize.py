"""`inferflow tokenize`: ids, texts, and the way back."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

import inferflow_core


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))


def test_ids_texts_and_count(inferflow: Any, gguf_file: Path) -> None:
    done = inferflow("tokenize", str(gguf_file), "x sky")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[1] for line in lines] == ["'x'", "'Ġsky'", "tokens"]
    assert lines[-1] == "2 tokens"


def test_no_weights_and_no_family_are_needed(
    inferflow: Any, gguf_file: Path, strange_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inferflow_loaders.gguf import GGUFCheckpoint

    def refuse(*_: Any) -> None:
        raise AssertionError("a tensor was read")

    monkeypatch.setattr(GGUFCheckpoint, "read", refuse)
    known = inferflow("tokenize", str(gguf_file), "x sky", "--ids").out
    assert inferflow("tokenize", str(strange_file), "x sky", "--ids").out == known


def test_json(inferflow: Any, gguf_file: Path) -> None:
    done = json.loads(inferflow("tokenize", "--spec", str(gguf_file), "x sky", "--json").out)
    assert set(done) == {"model", "count", "ids", "tokens"}
    assert (done["count"], done["tokens"], len(done["ids"])) == (2, ["x", "Ġsky"], 2)


def test_the_way_back_through_a_pipe(
    inferflow: Any, gguf_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(monkeypatch, "hé 😀\n".encode())
    ids = inferflow("tokenize", str(gguf_file), "--ids").out
    assert re.fullmatch(r"\d+(,\d+)*\n", ids)
    piped(monkeypatch, ids.encode())
    assert inferflow("tokenize", str(gguf_file), "--decode", "-").out == "hé 😀\n"
    shown = json.loads(inferflow("tokenize", str(gguf_file), "--decode", "90 2", "--json").out)
    assert shown["text"].endswith("<|im_end|>")
    bare = inferflow("tokenize", str(gguf_file), "--decode", "90,2", "--no-special").out
    assert bare == shown["text"].removesuffix("<|im_end|>") + "\n"


def test_special_tokens(inferflow: Any, gguf_file: Path) -> None:
    def ids(text: str, *options: str) -> list[int]:
        out = inferflow("tokenize", str(gguf_file), text, "--ids", *options).out
        return [int(id) for id in out.split(",")]

    (plain,) = ids("y")
    with_bos = ["--set", "tokenizer.bos=true"]
    assert ids("y", *with_bos) == [1, plain]
    assert ids("y", *with_bos, "--no-special") == [plain]
    assert len(ids("<|im_end|>")) > 3
    assert ids("<|im_end|>", "--parse-special") == [2]


def test_chat_is_what_run_would_send(inferflow: Any, gguf_file: Path) -> None:
    ids = inferflow("tokenize", str(gguf_file), "hey", "--chat", "--ids").out
    with inferflow_core.load(gguf_file, backend="numpy") as model:
        rendered = model.render([{"role": "user", "content": "hey"}])
    assert ids == ",".join(map(str, rendered)) + "\n"
    assert ids.startswith("1,")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--decode", "1,x"], 2, "write numbers"),
        (["--decode", "1,9999"], 2, "outside of the vocabulary"),
        (["--decode", "-1"], 2, "outside of the vocabulary"),
        (["--decode", "1", "hey"], 2, "takes ids and no text"),
        (["hey", "--chat", "--no-special"], 2, "the template says"),
        (["hey", "--chat", "--set", "tokenizer.chat={{ 1/0 }}"], 5, "template"),
        (["hey", "--set", "tokenizer.boss=true"], 3, "Did you mean 'bos'?"),
    ],
)
def test_wrong_calls(
    inferflow: Any, gguf_file: Path, arguments: list[str], code: int, word: str
) -> None:
    done = inferflow("tokenize", str(gguf_file), *arguments)
    assert (done.code, done.out) == (code, "")
    assert word in done.err


def test_what_is_piped_in_must_be_text(
    inferflow: Any, gguf_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(monkeypatch, b"\xff\xfe")
    done = inferflow("tokenize", str(gguf_file))
    assert (done.code, done.out) == (2, "")
    assert "not UTF-8" in done.err
