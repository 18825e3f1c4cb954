"""tokenizer.bin of llama2.c: exact against its program and against its algorithm, hostile files."""

import json
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inferflow_tokenizers.auto import open_tokenizer

from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError, ModelFileError


@pytest.mark.parametrize("name", ["llama2c_shared", "llama2c_unshared_gqa"])
def test_cases(name: str, shared: Path, open_real: Callable[[str], Any]) -> None:
    tokenizer = open_real(f"llama2c:{name}")
    path = shared / "oracles" / "formats" / name / "tokenizer_cases.json"
    for case in json.loads(path.read_text()):
        assert tokenizer.encode(case["text"], special=False) == case["ids"]
        assert tokenizer.encode(case["text"]) == case["ids_default"]
        assert tokenizer.decode(case["ids"]) == case["decoded"]


def test_stories(shared: Path, open_real: Callable[[str], Any]) -> None:
    tokenizer = open_real("stories")
    reference = shared / "oracles" / "real" / "stories260K" / "reference.json"
    cases = json.loads(reference.read_text())["cases"]
    assert len(cases) == 4
    for case in cases:
        assert tokenizer.encode(case["prompt"]) == [1, *case["prompt_ids"]]
        stream = tokenizer.stream(prompt=[1, *case["prompt_ids"]])
        written = "".join([*map(stream.push, case["generated_ids"]), stream.flush()])
        assert case["prompt"] + written + "\n" == case["text"]
    assert tokenizer.stop_ids == frozenset({1, 2})


def naive(pieces: dict[str, int], scores: dict[int, float], text: str) -> list[int]:
    """llama2.c's encode as its program does it: join the best pair, leftmost first, until none."""
    ids: list[int] = []
    for character in (" " if text else "") + text:
        id = pieces.get(character)
        ids += [byte + 3 for byte in character.encode()] if id is None else [id]
    texts = {id: piece for piece, id in pieces.items()}
    while True:
        best: tuple[float, int, int] | None = None
        for at in range(len(ids) - 1):
            joined = pieces.get(texts.get(ids[at], "\0") + texts.get(ids[at + 1], "\0"))
            if joined is not None and (best is None or scores[joined] > best[0]):
                best = (scores[joined], at, joined)
        if best is None:
            return ids
        ids[best[1] : best[1] + 2] = [best[2]]


def pieces_of(path: Path, count: int) -> tuple[dict[str, int], dict[int, float]]:
    data, at = path.read_bytes(), 4
    pieces: dict[str, int] = {}
    scores: dict[int, float] = {}
    for id in range(count):
        scores[id], length = struct.unpack_from("<fi", data, at)
        if id >= 259:
            pieces[data[at + 8 : at + 8 + length].decode()] = id
        at += 8 + length
    return pieces, scores


@given(
    text=st.one_of(
        st.text(max_size=60),
        st.text(alphabet=" aeinost", max_size=60),
        st.lists(st.sampled_from([" ", "  ", "the", "once", "aa", "ing", "\n", "é", "😀"])).map(
            "".join
        ),
    )
)
@settings(max_examples=200, deadline=None)
def test_equals_the_algorithm(text: str, shared: Path, open_real: Callable[[str], Any]) -> None:
    tokenizer = open_real("stories")
    pieces, scores = pieces_of(shared / "data" / "stories260K" / "tok512.bin", 512)
    assert tokenizer.encode(text, special=False) == naive(pieces, scores, text)


def test_equals_the_algorithm_on_a_large_vocabulary(
    shared: Path, bare: Callable[..., Any], installed: Catalog
) -> None:
    path = shared / "data" / "llama2_tokenizer" / "tokenizer.bin"
    checkpoint = bare(path.parent / "model.bin", "llama2c", {"vocab_size": 32000})
    tokenizer = open_tokenizer(checkpoint, {}, installed)
    pieces, scores = pieces_of(path, 32000)
    text = (shared / "data" / "wiki.test.raw").read_text()
    spaces = [" " * count for count in range(1, 40)]
    for part in [text[at : at + 150] for at in range(0, 15_000, 300)] + spaces + ["aaaaaaa"]:
        assert tokenizer.encode(part, special=False) == naive(pieces, scores, part), part


def test_spaces(llama2c: Any) -> None:
    ids = llama2c.encode("hello world")
    assert ids[0] == 1
    assert llama2c.decode(ids) == "hello world"
    assert llama2c.decode(llama2c.encode("  hello")) == "  hello"
    assert llama2c.encode("") == [1]
    assert llama2c.token(1) == "<s>"


def test_long_text_takes_no_quadratic_time(llama2c: Any) -> None:
    began = time.perf_counter()
    for text in ("a" * 100_000, "hello world " * 8_000, "😀" * 25_000):
        llama2c.encode(text)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["tok_a.bin", "tok_b.bin"], {}, "several files may be its tokenizer: tok_a.bin, tok_b"),
        (["tokenizer.bin"], {"path": "other.bin"}, r"other.bin: no such file"),
    ],
)
def test_which_file(
    write_llama2c: Callable[..., Path],
    bare: Callable[..., Any],
    installed: Catalog,
    names: Sequence[str],
    options: dict[str, Any],
    message: str,
) -> None:
    for name in names:
        model = write_llama2c((" ", 0.0), name=name)
    checkpoint = bare(model, "llama2c", {"vocab_size": 260})
    with pytest.raises(ModelFileError, match=message):
        open_tokenizer(checkpoint, options, installed)
    named = open_tokenizer(checkpoint, {"path": names[0]}, installed)
    assert named.vocab_size == 260


def test_another_models_file(
    write_llama2c: Callable[..., Path], bare: Callable[..., Any], installed: Catalog
) -> None:
    model = write_llama2c((" ", 0.0), ("a", -1.0))
    for size, message in (
        (262, "ends after 261 tokens; the model has 262"),
        (260, "9 bytes follow token 259, the model's last"),
        (100, "the model has 100 tokens; 259 are fixed ones"),
    ):
        with pytest.raises(ModelFileError, match=message):
            open_tokenizer(bare(model, "llama2c", {"vocab_size": size}), {}, installed)


def test_truncated_anywhere(
    write_llama2c: Callable[..., Path], bare: Callable[..., Any], installed: Catalog
) -> None:
    model = write_llama2c((" ", 0.0), ("a", -1.0))
    checkpoint = bare(model, "llama2c", {"vocab_size": 261})
    path = model.parent / "tokenizer.bin"
    data = path.read_bytes()
    for length in (*range(300), *range(300, len(data), 7), len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ModelFileError):
            open_tokenizer(checkpoint, {}, installed)


@given(changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4))
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_fuzzed_file_is_an_error_or_works(
    changes: list[tuple[int, int]],
    write_llama2c: Callable[..., Path],
    bare: Callable[..., Any],
    installed: Catalog,
) -> None:
    model = write_llama2c((" ", 0.0), ("a", -1.0), ("aa", -2.0), ("é", -3.0))
    path = model.parent / "tokenizer.bin"
    data = bytearray(path.read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    path.write_bytes(bytes(data))
    try:
        checkpoint = bare(model, "llama2c", {"vocab_size": 263})
        open_tokenizer(checkpoint, {}, installed).encode("aaé")
    except InferflowError:
        return
