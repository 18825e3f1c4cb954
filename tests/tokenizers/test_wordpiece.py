"""vocab.txt: exact against BERT's reference, the switches of tokenizer_config.json."""

from collections.abc import Callable
from typing import Any

import pytest
from inferflow_tokenizers.auto import open_tokenizer

from inferflow_core.catalog import Catalog
from inferflow_core.errors import ModelFileError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "e", "é", "E", "##e", "中", "中e", "!"]
VOCAB = "".join(f"{word}\n" for word in WORDS)


def test_family_is_exact(family_is_exact: Callable[..., None]) -> None:
    family_is_exact("bert_base_multilingual_cased", "wordpiece")


@pytest.mark.parametrize(
    ("config", "text", "ids"),
    [
        ({}, "Ée!", [2, 4, 7, 10, 3]),
        ({"do_lower_case": False}, "E é", [2, 6, 5, 3]),
        ({"do_lower_case": True, "strip_accents": False}, "É", [2, 5, 3]),
        ({"do_lower_case": False, "strip_accents": True}, "é", [2, 4, 3]),
        ({}, "中e", [2, 8, 4, 3]),
        ({"tokenize_chinese_chars": False}, "中e", [2, 9, 3]),
        ({}, "ex [SEP]", [2, 1, 3, 3]),
        ({"tokenizer_class": "BertTokenizerFast"}, "e", [2, 4, 3]),
    ],
)
def test_switches(
    folder: Callable[..., Any],
    installed: Catalog,
    config: dict[str, Any],
    text: str,
    ids: list[int],
) -> None:
    checkpoint = folder(vocab_txt=VOCAB, tokenizer_config_json=config)
    tokenizer = open_tokenizer(checkpoint, {}, installed)
    assert tokenizer.encode(text, parse_special=True) == ids


@pytest.mark.parametrize(
    ("vocab", "config", "message"),
    [
        ("[UNK]\na\na\n", {}, r"vocab.txt: line 3: 'a' stands there twice"),
        ("a\n", {}, r"vocab.txt: no token '\[UNK\]' for unknown words"),
        (VOCAB, {"tokenizer_class": "EsmTokenizer"}, "class EsmTokenizer; read are those of Bert"),
    ],
)
def test_malformed(
    folder: Callable[..., Any],
    installed: Catalog,
    vocab: str,
    config: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ModelFileError, match=message):
        open_tokenizer(folder(vocab_txt=vocab, tokenizer_config_json=config), {}, installed)
