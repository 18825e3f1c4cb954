"""SentencePiece-BPE in the terms of the `tokenizers` library."""

from collections.abc import Mapping
from typing import Any


def sentencepiece_bpe(
    *,
    vocab: Mapping[str, int],
    merges: list[tuple[str, str]],
    unknown: str | None,
    space: str,
    prefix: bool,
) -> dict[str, Any]:
    """The definition of a SentencePiece-BPE: no cutting before merging, `<0xNN>` for characters
    that are not in the vocabulary; `prefix`: a text begins with a space of its own."""
    mark = {"type": "Replace", "pattern": {"String": " "}, "content": space}
    unmark = {"type": "Replace", "pattern": {"String": space}, "content": " "}
    start = [{"type": "Prepend", "prepend": space}] if prefix else []
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*start, mark]},
        "decoder": {
            "type": "Sequence",
            "decoders": [unmark, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip],
        },
        "model": {
            "type": "BPE",
            "unk_token": unknown,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocab,
            "merges": merges,
        },
    }
