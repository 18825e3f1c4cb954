"""The vocabulary inside a GGUF file, rebuilt as a definition for the `tokenizers` library."""

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from inferflow_core.errors import ModelFileError, nearest
from inferflow_core.interfaces import Checkpoint, Tokenizer
from inferflow_tokenizers.facts import Facts
from inferflow_tokenizers.gguf_metadata import Metadata
from inferflow_tokenizers.library_tokenizer import LibraryTokenizer
from inferflow_tokenizers.merges import merges_by_score
from inferflow_tokenizers.pre_tokenizers import PRE_TOKENIZERS
from inferflow_tokenizers.sentencepiece_bpe import sentencepiece_bpe

PREFIX = "tokenizer.ggml."

NAMED = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "sep_token": "seperator_token_id",
    "pad_token": "padding_token_id",
    "cls_token": "cls_token_id",
    "mask_token": "mask_token_id",
}
"""Names in chat templates -> keys of the file (one of them misspelt by its inventors)."""

LATER = {"bert": "WordPiece", "t5": "unigram", "rwkv": "RWKV", "plamo2": "PLaMo-2"}

TURN_ENDS = frozenset(
    {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>"}
)
"""Many files name only the end of a text; a control token of such a name that the chat template
itself writes ends a turn."""


class TokenType(IntEnum):
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class GGUFVocab:
    """Byte-level BPE (`gpt2`) and SentencePiece-BPE (`llama`)."""

    @classmethod
    def open(cls, checkpoint: Checkpoint, options: Mapping[str, Any]) -> Tokenizer | None:
        """None where the checkpoint is no GGUF or carries no vocabulary. Raises ModelFileError."""
        raw: Mapping[str, Any] | None = getattr(checkpoint, "metadata", None)
        if checkpoint.source != "gguf" or raw is None or f"{PREFIX}model" not in raw:
            return None
        data = Metadata(checkpoint.path, raw)
        tokens = _unique(data)
        types = data.numbers(f"{PREFIX}token_type", len(tokens), int, TokenType.NORMAL)
        model = data.text(f"{PREFIX}model")
        match model:
            case "gpt2":
                definition, add_bos = _byte_level(data, tokens)
            case "llama":
                definition, add_bos = _sentencepiece(data, tokens, types), True
            case _:
                kind = f" ({LATER[model]})" if model in LATER else ""
                raise ModelFileError(
                    checkpoint.path, f"vocabulary of type {model!r}{kind}; gpt2 and llama are read"
                )
        definition["added_tokens"] = [
            _added(id, token, special=kind != TokenType.USER_DEFINED)
            for id, (token, kind) in enumerate(zip(tokens, types, strict=True))
            if kind in (TokenType.UNKNOWN, TokenType.CONTROL, TokenType.USER_DEFINED)
        ]
        named = {
            name: tokens[id]
            for name, key in NAMED.items()
            if (id := data.id(PREFIX + key, len(tokens))) is not None
        }
        templates = _templates(data)
        facts = Facts(
            path=checkpoint.path,
            named=named,
            stop_ids=_stop_ids(data, tokens, types, templates),
            add_bos=data.flag(f"{PREFIX}add_bos_token", add_bos),
            add_eos=data.flag(f"{PREFIX}add_eos_token", False),
            templates=templates,
        )
        return LibraryTokenizer(json.dumps(definition), facts, options)


def _unique(data: Metadata) -> list[str]:
    """The tokens; an empty one gets a name that no text can spell."""
    key = f"{PREFIX}tokens"
    tokens = [text or f"[EMPTY_{id}]" for id, text in enumerate(data.texts(key))]
    seen: set[str] = set()
    for token in tokens:
        if token in seen:
            raise ModelFileError(data.path, f"{key}: {token[:40]!r} stands there twice")
        seen.add(token)
    return tokens


def _byte_level(data: Metadata, tokens: list[str]) -> tuple[dict[str, Any], bool]:
    """The definition, and whether this kind puts BOS first where the file does not say."""
    name = data.text(f"{PREFIX}pre", "default")
    pre = PRE_TOKENIZERS.get(name)
    if pre is None:
        raise ModelFileError(
            data.path,
            f"pre-tokenizer {name!r} is unknown.{nearest(name, PRE_TOKENIZERS)}",
            hint=f"known: {', '.join(sorted(PRE_TOKENIZERS))}",
        )
    merges: list[list[str]] = []
    for merge in data.texts(f"{PREFIX}merges"):
        cut = merge.find(" ", 1)
        merges.append([merge[:cut], merge[cut + 1 :]])
    splits = [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
        for regex in pre.splits
    ]
    byte_level = {
        "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False
    }  # fmt: skip
    return {
        "normalizer": {"type": "NFC"} if pre.nfc else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*splits, byte_level]},
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "ignore_merges": pre.whole_words,
            "vocab": {token: id for id, token in enumerate(tokens)},
            "merges": merges,
        },
    }, pre.add_bos


def _sentencepiece(data: Metadata, tokens: list[str], types: list[int]) -> dict[str, Any]:
    scores = data.numbers(f"{PREFIX}scores", len(tokens), float)
    spelt = {
        token: score
        for token, score, kind in zip(tokens, scores, types, strict=True)
        if kind in (TokenType.NORMAL, TokenType.USER_DEFINED)
    }
    unknown = data.id(f"{PREFIX}unknown_token_id", len(tokens))
    prefix = data.flag(f"{PREFIX}add_space_prefix", True)
    return sentencepiece_bpe(
        vocab={token: id for id, token in enumerate(tokens)},
        merges=merges_by_score(data.path, spelt),
        unknown=None if unknown is None else tokens[unknown],
        space="▁",
        prefix=prefix,
    )


def _added(id: int, token: str, *, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id, "content": token, "special": special, **flags}


def _stop_ids(
    data: Metadata, tokens: list[str], types: list[int], templates: Mapping[str, str]
) -> frozenset[int]:
    written = (data.id(f"{PREFIX}{key}_token_id", len(tokens)) for key in ("eos", "eot", "eom"))
    turn_ends = (
        id
        for id, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind == TokenType.CONTROL
        and token in TURN_ENDS
        and any(token in template for template in templates.values())
    )
    return frozenset(id for id in (*written, *turn_ends) if id is not None)


def _templates(data: Metadata) -> dict[str, str]:
    """`tokenizer.chat_template`, and named ones under `tokenizer.chat_template.NAME`."""
    key = "tokenizer.chat_template"
    found = {
        name.removeprefix(f"{key}."): data.text(name)
        for name in data.raw
        if name.startswith(f"{key}.")
    }
    return {**found, "default": data.text(key)} if key in data.raw else found
