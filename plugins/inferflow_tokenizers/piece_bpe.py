"""SentencePiece's BPE: joins, again and again, the neighbours whose union has the best score, the
leftmost first; user-defined pieces are never joined to others.

The `tokenizers` library joins by the rank of a pair and cannot tell pieces of one score apart by
place, and knows no unused pieces; hence this one.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from heapq import heapify, heappop, heappush

from inferflow_tokenizers.piece_model import SPELT, PieceModel, PieceType
from inferflow_tokenizers.prefixes import longest_of

CACHED_WORDS = 1 << 15
CACHED_LENGTH = 32


class PieceBPE:
    def __init__(self, model: PieceModel) -> None:
        self._scores = {model.pieces[id]: -model.scores[id] for id in model.of_type(*SPELT)}
        unused = (model.pieces[id] for id in model.of_type(PieceType.UNUSED))
        self._unused = frozenset(piece for piece in unused if len(piece) > 1)
        user_defined = [model.pieces[id] for id in model.of_type(PieceType.USER_DEFINED)]
        self._user_defined = frozenset(user_defined)
        self._symbols = longest_of(user_defined) if user_defined else None
        self._words = _between_words(model.normalizer.space, [*self._scores])
        self._cached = lru_cache(CACHED_WORDS)(self._cut)

    def cut(self, text: str) -> list[str]:
        """A normalised text in pieces and unknown characters."""
        if self._unused or self._words is None:
            return [*self._cut(text)]
        pieces: list[str] = []
        for word in self._words.split(text):
            pieces += self._cached(word) if len(word) <= CACHED_LENGTH else self._cut(word)
        return pieces

    def _cut(self, text: str) -> tuple[str, ...]:
        symbols = self._split(text)
        end = len(symbols)
        after = list(range(1, end + 1))
        before = list(range(-1, end - 1))
        apart: dict[str, tuple[str, str]] = {}

        def pair(left: int, right: int) -> tuple[float, int, int] | None:
            """What there is to join: its score, place and length."""
            if left < 0 or right >= end:
                return None
            first, second = symbols[left], symbols[right]
            score = self._scores.get(first + second)
            if score is None or first in self._user_defined or second in self._user_defined:
                return None
            if first + second in self._unused:
                apart[first + second] = first, second
            return score, left, len(first) + len(second)

        heap = [found for at in range(end - 1) if (found := pair(at, at + 1))]
        heapify(heap)
        while heap:
            _, left, length = heappop(heap)
            right = after[left]
            if not symbols[left] or right >= end:
                continue
            if len(symbols[left]) + len(symbols[right]) != length:
                continue
            symbols[left] += symbols[right]
            symbols[right] = ""
            after[left] = after[right]
            if after[left] < end:
                before[after[left]] = left
            for found in (pair(before[left], left), pair(left, after[left])):
                if found:
                    heappush(heap, found)
        return tuple(self._apart([symbol for symbol in symbols if symbol], apart))

    def _split(self, text: str) -> list[str]:
        if self._symbols is None:
            return list(text)
        symbols: list[str] = []
        at = 0
        for found in self._symbols.finditer(text):
            symbols += text[at : found.start()]
            symbols.append(found[0])
            at = found.end()
        return [*symbols, *text[at:]]

    def _apart(self, symbols: list[str], apart: dict[str, tuple[str, str]]) -> list[str]:
        """Unused pieces serve on the way only; they come apart again."""
        if not apart:
            return symbols
        pieces: list[str] = []
        stack = symbols[::-1]
        while stack:
            symbol = stack.pop()
            if symbol in apart:
                left, right = apart[symbol]
                stack += right, left
            else:
                pieces.append(symbol)
        return pieces


def _between_words(space: str, pieces: Sequence[str]) -> re.Pattern[str] | None:
    """Where no piece can reach across: before a space, after a character that stands before one
    in no piece. None where there is no such place to look for."""
    before = {
        piece[at - 1] for piece in pieces for at in range(1, len(piece)) if piece[at] == space
    }
    if len(space) != 1 or len(before) > CACHED_LENGTH:
        return None
    others = "".join(map(re.escape, sorted(before)))
    return re.compile(f"(?<=[^{others}])(?={space})" if others else f"(?<=.)(?={space})", re.DOTALL)
