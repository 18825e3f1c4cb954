"""Streaming text: the library's decoding where bytes are valid, plain UTF-8 rules where not."""

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inferflow_tokenizers.auto import open_tokenizer
from tokenizers import Tokenizer as Native

from inferflow_core.catalog import Catalog
from inferflow_core.errors import ModelFileError

FAMILIES = (
    *("bert_base_multilingual_cased", "bloomz_3b", "deepseek_moe_16b_base", "gemma_2b_it"),
    *("llama2_7b", "phi_2", "qwen15_7b_chat", "yi_6b_200k"),
)
REAL = ("vocab:gpt-2", "vocab:llama-spm", "stories", "gguf:tiny-llama-f32.gguf")
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(["😀", "👍🏽", "é", " a", "  ", "\n", "中", "the", "▁", "<s>"])).map(
        "".join
    ),
)


def streamed(
    tokenizer: Any, ids: Sequence[int], *, prompt: Sequence[int] = (), skip_special: bool = True
) -> str:
    stream = tokenizer.stream(prompt=prompt, skip_special=skip_special)
    return "".join([*map(stream.push, ids), stream.flush()])


def settled(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of `ids` without a character that is still open at the end."""
    stream = tokenizer.stream()
    return "".join(map(stream.push, ids))


@cache
def native(shared: Path, family: str) -> Native:
    path = shared / "oracles" / "families" / family / "model" / "tokenizer.json"
    return Native.from_str(path.read_text())


@pytest.mark.parametrize("family", FAMILIES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_random_ids_as_the_library(
    family: str, data: st.DataObject, shared: Path, open_real: Callable[[str], Any]
) -> None:
    tokenizer = open_real(f"family:{family}")
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=24))
    skip = data.draw(st.booleans())
    # Of runs of byte tokens the library makes other replacement characters: see detokenizer.py.
    ids = [id for id in ids if not re.fullmatch("<0x..>", tokenizer.token(id))]
    expected = native(shared, family).decode(ids, skip_special_tokens=skip)
    assert streamed(tokenizer, ids, skip_special=skip) == expected
    assert tokenizer.decode(ids, skip_special=skip) == expected


@pytest.mark.parametrize("family", FAMILIES[1:])
@given(text=TEXTS)
@settings(max_examples=40, deadline=None)
def test_texts_as_the_library(
    family: str, text: str, shared: Path, open_real: Callable[[str], Any]
) -> None:
    tokenizer = open_real(f"family:{family}")
    ids = tokenizer.encode(text, special=False)
    assert streamed(tokenizer, ids) == native(shared, family).decode(ids)


@pytest.mark.parametrize("reference", REAL)
@given(text=TEXTS, data=st.data())
@settings(max_examples=40, deadline=None)
def test_round_trip_and_any_cut(
    reference: str, text: str, data: st.DataObject, open_real: Callable[[str], Any]
) -> None:
    tokenizer = open_real(reference)
    ids = tokenizer.encode(text)
    spelt = text.replace("▁", " ") if tokenizer.encode("▁") == tokenizer.encode(" ") else text
    assert streamed(tokenizer, ids) == spelt
    cut = data.draw(st.integers(0, len(ids)))
    before = settled(tokenizer, ids[:cut])
    assert before + streamed(tokenizer, ids[cut:], prompt=ids[:cut]) == spelt


@pytest.mark.parametrize("reference", REAL)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_random_ids_and_any_cut(
    reference: str, data: st.DataObject, open_real: Callable[[str], Any]
) -> None:
    tokenizer = open_real(reference)
    some = st.integers(0, tokenizer.vocab_size - 1) | st.integers(0, 300)
    ids = data.draw(st.lists(some, max_size=100))
    whole = tokenizer.decode(ids)
    cut = data.draw(st.integers(0, len(ids)))
    before = settled(tokenizer, ids[:cut])
    assert before + streamed(tokenizer, ids[cut:], prompt=ids[:cut]) == whole


@given(bytes_=st.binary(max_size=40))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_byte_tokens_follow_unicode(bytes_: bytes, llama2c: Any) -> None:
    a = llama2c.token_id("a")
    ids = [a, *(byte + 3 for byte in bytes_), a]
    assert streamed(llama2c, ids) == "a" + bytes_.decode("utf-8", "replace") + "a"


def test_characters_come_whole(byte_level: Any) -> None:
    stream = byte_level.stream()
    ids = byte_level.encode("é😀!")
    pieces = [stream.push(id) for id in ids]
    assert [piece for piece in pieces if piece] == ["é", "😀", "!"]
    assert stream.flush() == ""
    stream = byte_level.stream()
    assert [stream.push(id) for id in ids[:3]] == ["", "é", ""]
    assert stream.flush() == "\ufffd"


def test_special_tokens(byte_level: Any) -> None:
    end = byte_level.token_id("<|im_end|>")
    ids = [*byte_level.encode("é"), end, *byte_level.encode("a")]
    assert streamed(byte_level, ids) == "éa"
    assert streamed(byte_level, ids, skip_special=False) == "é<|im_end|>a"


def test_leading_space_belongs_to_the_start_only(llama2c: Any) -> None:
    ids = llama2c.encode(" hello", special=False)
    assert streamed(llama2c, ids) == " hello"
    assert streamed(llama2c, ids[1:], prompt=[1]) == "hello"
    assert streamed(llama2c, ids[1:], prompt=[1, llama2c.token_id("a")]) == " hello"


def test_prompt_ends_inside_a_character(llama2c: Any) -> None:
    first, second = (byte + 3 for byte in "é".encode())
    a = llama2c.token_id("a")
    assert streamed(llama2c, [second, a], prompt=[1, a, first]) == "éa"
    long = [a] * 10_000
    assert streamed(llama2c, [second, a], prompt=[*long, first]) == "éa"


def test_work_does_not_grow(byte_level: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look at the table for each id, however long the text and the prompt."""
    stream = byte_level.stream(prompt=[40] * 100_000)
    looks = 0
    piece = byte_level._pieces.piece

    def counted(*args: Any, **kwargs: Any) -> bytes | None:
        nonlocal looks
        looks += 1
        return piece(*args, **kwargs)

    monkeypatch.setattr(byte_level._pieces, "piece", counted)
    broken = byte_level.token_id("Ģ")  # a byte that never begins a character
    for _ in range(1000):
        assert stream.push(broken) == "\ufffd"
    assert looks == 1000
    byte_level.stream(prompt=[40] * 100_000)
    assert looks < 1100


@pytest.mark.parametrize(
    ("decoder", "words", "expected"),
    [
        (None, ["a", "b"], "a b"),
        ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}, None, "x y"),
        ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"}, None, " x y"),
        ({"type": "WordPiece", "prefix": "##", "cleanup": True}, ["a", "##b", "."], "ab."),
        ({"type": "WordPiece", "prefix": "##", "cleanup": False}, ["a", "##b", "."], "ab ."),
    ],
)
def test_decoders_as_the_library(
    folder: Callable[..., Any],
    word_definition: dict[str, Any],
    installed: Catalog,
    decoder: dict[str, Any] | None,
    words: list[str] | None,
    expected: str,
) -> None:
    if decoder is not None and decoder["type"] == "Metaspace":
        decoder["split"] = True
    words = words or ["▁x", "▁y"]
    vocab = word_definition["model"]["vocab"]
    vocab.update((word, len(vocab) + at) for at, word in enumerate(words) if word not in vocab)
    definition = {**word_definition, "decoder": decoder}
    tokenizer = open_tokenizer(folder(tokenizer_json=definition), {}, installed)
    ids = [vocab[word] for word in words]
    assert tokenizer.decode(ids) == expected
    assert Native.from_str(json.dumps(definition)).decode(ids) == expected


def test_unknown_decoder_is_an_error(
    folder: Callable[..., Any], word_definition: dict[str, Any], installed: Catalog
) -> None:
    word_definition["decoder"] = {
        "type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True
    }  # fmt: skip
    with pytest.raises(ModelFileError, match="decoder CTC is not supported"):
        open_tokenizer(folder(tokenizer_json=word_definition), {}, installed)
