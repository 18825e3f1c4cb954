"""vocab.json and merges.txt: exact against the families' references, malformed files."""

from collections.abc import Callable
from typing import Any

import pytest
from inferflow_tokenizers.auto import open_tokenizer

from inferflow_core.catalog import Catalog
from inferflow_core.errors import ModelFileError

PARSED = ("aquila_chat2_34b", "opt_13b", "opt_350m", "opt_iml_max_30b")
"""References made by a program that reads special tokens inside of a text."""


@pytest.mark.parametrize("family", [*PARSED, "phi_2", "qwen15_05b_chat", "qwen15_7b_chat"])
def test_family_is_exact(family: str, family_is_exact: Callable[..., None]) -> None:
    family_is_exact(family, "byte_bpe", family in PARSED)


VOCAB = {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4, "Ġ": 5, "Ġa": 6}
MERGES = "#version: 0.2\na b\nĠ a\n"


@pytest.mark.parametrize(
    ("config", "text", "ids"),
    [
        ({}, "ab a", [4, 6]),
        ({"add_prefix_space": True}, "ab", [5, 4]),
        ({"add_bos_token": True, "bos_token": "<s>"}, "ab", [0, 4]),
        (
            {"tokenizer_class": "RobertaTokenizer", "bos_token": "<s>", "eos_token": "</s>"},
            "ab",
            [0, 4, 1],
        ),
        ({}, "a</s>", [2, 1]),  # no merge makes it, so it is special, whatever the files say
    ],
)
def test_habits(
    folder: Callable[..., Any],
    installed: Catalog,
    config: dict[str, Any],
    text: str,
    ids: list[int],
) -> None:
    checkpoint = folder(vocab_json=VOCAB, merges_txt=MERGES, tokenizer_config_json=config)
    tokenizer = open_tokenizer(checkpoint, {}, installed)
    assert tokenizer.encode(text, parse_special=True) == ids
    assert 1 not in tokenizer.encode(text, special=False)


@pytest.mark.parametrize(
    ("vocab", "merges", "config", "message"),
    [
        ({"a": 0, "b": 2}, "", {}, r"vocab.json: the 2 ids must be 0, 1, …"),
        ({"a": "0"}, "", {}, r"vocab.json: expected tokens and their ids"),
        (VOCAB, "a b c\n", {}, r"merges.txt: line 1: 'a b c' is no pair of tokens"),
        (VOCAB, "a c\n", {}, r"Token `c` out of vocabulary"),
        (VOCAB, MERGES, {"tokenizer_class": "CLIPTokenizer"}, "class CLIPTokenizer are not read"),
    ],
)
def test_malformed(
    folder: Callable[..., Any],
    installed: Catalog,
    vocab: dict[str, Any],
    merges: str,
    config: dict[str, Any],
    message: str,
) -> None:
    checkpoint = folder(vocab_json=vocab, merges_txt=merges, tokenizer_config_json=config)
    with pytest.raises(ModelFileError, match=message):
        open_tokenizer(checkpoint, {}, installed)
