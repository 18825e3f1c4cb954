"""Merges of a SentencePiece-BPE vocabulary, which a file gives as scores only.

SentencePiece (Kudo & Richardson 2018) joins, again and again, the neighbours whose union is the
piece of the best score. The `tokenizers` library joins the pair of the lowest rank. Ranking every
cut of every piece by the piece's score makes the two the same, as long as scores differ.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from inferflow_core.errors import ModelFileError

MAX_PIECE = 256
MAX_CHARACTERS = 8 << 20
"""Of one piece, and of all: a piece of n characters has n cuts, each n characters to look up."""


def merges_by_score(path: Path, scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """The pairs to join, best first. Raises ModelFileError for scores or sizes out of bounds."""
    if sum(map(len, scores)) > MAX_CHARACTERS:
        raise ModelFileError(path, f"the vocabulary has more than {MAX_CHARACTERS} characters")
    ranked: list[tuple[float, int, str, str]] = []
    for order, (piece, score) in enumerate(scores.items()):
        if not math.isfinite(score):
            raise ModelFileError(path, f"the score of token {piece[:40]!r} is {score}")
        if len(piece) > MAX_PIECE:
            raise ModelFileError(
                path, f"token {piece[:40]!r}… has {len(piece)} characters; at most {MAX_PIECE}"
            )
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in scores and right in scores:
                ranked.append((-score, order, left, right))
    ranked.sort(key=lambda found: found[:2])
    return [(left, right) for _, _, left, right in ranked]
