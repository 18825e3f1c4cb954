"""SentencePiece's unigram model: the most likely way to cut a text (Kudo 2018, by Viterbi).

Sums are float32, from the text's start, as in SentencePiece's own encoder; the `tokenizers`
library sums in float64 and so decides close calls otherwise.
"""

import struct

from inferflow_tokenizers.piece_model import PieceModel, PieceType
from inferflow_tokenizers.prefixes import lengths_by_first

UNKNOWN_PENALTY = 10.0
FLOAT = struct.Struct("f")
SMALLEST = 1.1754943508222875e-38
"""The smallest normal float32; SentencePiece begins with it to look for the best score."""


class PieceUnigram:
    def __init__(self, model: PieceModel) -> None:
        normal = [model.scores[id] for id in model.of_type(PieceType.NORMAL)]
        self._unknown = _float32(min(normal, default=0.0) - UNKNOWN_PENALTY)
        best = max([SMALLEST, *normal])
        self._scores: dict[str, float] = {}
        for id in model.of_type(PieceType.NORMAL, PieceType.USER_DEFINED):
            piece = model.pieces[id]
            if model.types[id] == PieceType.NORMAL:
                self._scores[piece] = model.scores[id]
            else:
                self._scores[piece] = _float32(len(piece.encode()) * best) - 0.1
        self._lengths = lengths_by_first(self._scores)

    def cut(self, text: str) -> list[str]:
        """A normalised text in pieces and unknown characters."""
        scores = self._scores
        size = len(text)
        sums = [0.0] * (size + 1)
        starts = [-1] * (size + 1)
        for start in range(size):
            here = sums[start]
            single = False
            for length in self._lengths.get(text[start], ()):
                end = start + length
                score = scores.get(text[start:end])
                if score is None or end > size:
                    continue
                single |= length == 1
                total = _float32(here + score)
                if starts[end] < 0 or total > sums[end]:
                    sums[end], starts[end] = total, start
            if not single:
                total = _float32(here + self._unknown)
                end = start + 1
                if starts[end] < 0 or total > sums[end]:
                    sums[end], starts[end] = total, start
        pieces: list[str] = []
        end = size
        while end > 0:
            pieces.append(text[starts[end] : end])
            end = starts[end]
        return pieces[::-1]


def _float32(number: float) -> float:
    return FLOAT.unpack(FLOAT.pack(number))[0]
