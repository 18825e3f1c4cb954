"""A SentencePiece vocabulary (Kudo & Richardson 2018), whichever file it was read from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

from inferflow_core.errors import ModelFileError
from inferflow_tokenizers.piece_normalizer import PieceNormalizer

MAX_PIECE = 256
MAX_CHARACTERS = 16 << 20
"""Of one piece, and of all: what a walk over a text may cost, and what stays in memory."""


class PieceType(IntEnum):
    """GGUF has the same numbers."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


SPELT = (PieceType.NORMAL, PieceType.USER_DEFINED, PieceType.UNUSED)
"""Pieces that a text can spell."""


@dataclass(frozen=True)
class PieceModel:
    """Pieces by id, with their scores and types. Raises ModelFileError where they are out of
    bounds."""

    path: Path
    algorithm: Literal["bpe", "unigram"]
    pieces: Sequence[str]
    scores: Sequence[float]
    types: Sequence[int]
    normalizer: PieceNormalizer
    byte_fallback: bool

    def __post_init__(self) -> None:
        if sum(map(len, self.pieces)) > MAX_CHARACTERS:
            raise ModelFileError(
                self.path, f"the vocabulary has more than {MAX_CHARACTERS} characters"
            )
        seen: set[str] = set()
        for piece, score in zip(self.pieces, self.scores, strict=True):
            if not piece:
                raise ModelFileError(self.path, "a token is empty")
            if not math.isfinite(score):
                raise ModelFileError(self.path, f"the score of token {piece[:40]!r} is {score}")
            if len(piece) > MAX_PIECE:
                raise ModelFileError(
                    self.path,
                    f"token {piece[:40]!r}… has {len(piece)} characters; at most {MAX_PIECE}",
                )
            if piece in seen:
                raise ModelFileError(self.path, f"token {piece[:40]!r} stands there twice")
            seen.add(piece)

    def of_type(self, *types: PieceType) -> list[int]:
        return [id for id, kind in enumerate(self.types) if kind in types]
