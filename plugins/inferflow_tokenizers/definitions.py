"""Vocabularies in the terms of the `tokenizers` library: what a tokenizer.json would hold."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inferflow_core.errors import ModelFileError
from inferflow_tokenizers.pre_tokenizers import PreTokenizer

NO_FLAGS = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)


def byte_bpe(
    vocab: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    pre: PreTokenizer,
    added: Iterable[Mapping[str, Any]] = (),
    *,
    unknown: str | None = None,
    add_prefix_space: bool = False,
) -> str:
    """BPE over GPT-2's stand-ins for bytes (Radford 2019)."""
    splits = [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
        for regex in pre.splits
    ]
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": True,
        "use_regex": False,
    }
    return json.dumps(
        {
            "added_tokens": [*added],
            "normalizer": {"type": "NFC"} if pre.nfc else None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*splits, byte_level]},
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "unk_token": unknown,
                "ignore_merges": pre.whole_words,
                "vocab": vocab,
                "merges": merges,
            },
        }
    )


def wordpiece(
    path: Path,
    vocab: Mapping[str, int],
    added: Iterable[Mapping[str, Any]] = (),
    *,
    unknown: str,
    first: str | None,
    last: str | None,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    chinese_characters: bool = True,
) -> str:
    """BERT's WordPiece (Devlin 2018). `first` and `last` stand around every text; `strip_accents`:
    None means as `lowercase`. Raises ModelFileError where `unknown` is no token."""
    if unknown not in vocab:
        raise ModelFileError(path, f"no token {unknown!r} for unknown words")
    around = {token: {"id": token, "ids": [vocab[token]], "tokens": [token]}
              for token in (first, last) if token is not None}  # fmt: skip
    text = {"Sequence": {"id": "A", "type_id": 0}}
    single = [
        {"SpecialToken": {"id": part, "type_id": 0}} if isinstance(part, str) else part
        for part in (first, text, last)
        if part is not None
    ]
    end = [] if last is None else [{"SpecialToken": {"id": last, "type_id": 1}}]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}, *end]
    return json.dumps(
        {
            "added_tokens": [*added],
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": chinese_characters,
                "strip_accents": strip_accents,
                "lowercase": lowercase,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": single,
                "pair": pair,
                "special_tokens": around,
            },
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {
                "type": "WordPiece",
                "unk_token": unknown,
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": vocab,
            },
        }
    )
