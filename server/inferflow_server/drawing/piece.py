"""Pieces of a picture, put together by moving them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from inferflow_server.drawing.svg import Point, element, line, number

ARROW = 26.0


class Rect(NamedTuple):
    x: float
    y: float
    width: float
    height: float

    def moved(self, x: float, y: float) -> "Rect":
        return Rect(self.x + x, self.y + y, self.width, self.height)

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class Piece:
    """Markup, its size, the x of the line that runs through it, and where its blocks are."""

    width: float
    height: float
    markup: str
    axis: float
    rects: Mapping[str, Rect] = field(default_factory=dict[str, Rect])
    bracketed: bool = False

    def placed(self, x: float, y: float) -> str:
        return element("g", self.markup, transform=f"translate({number(x)} {number(y)})")

    def rects_at(self, x: float, y: float) -> dict[str, Rect]:
        return {path: rect.moved(x, y) for path, rect in self.rects.items()}


def bracketed(piece: Piece, times: int) -> Piece:
    """With `× times` behind a bracket at the right side."""
    if times == 1:
        return piece
    x, y, bottom = piece.width + 8, 2, piece.height - 2
    text = f"× {times}"
    bracket = line([(x, y), (x + 7, y), (x + 7, bottom), (x, bottom)], "bracket")
    middle = piece.height / 2
    count = element("text", text, x=x + 15, y=middle + 5, class_="times")
    width = x + 15 + 10 * len(text)
    return replace(piece, width=width, markup=piece.markup + bracket + count, bracketed=True)


def beside(left: Sequence[Piece], piece: Piece) -> Piece:
    """With what all of it reads at its left side."""
    if not left:
        return piece
    x = max(one.width for one in left) + ARROW
    markup, rects, y = piece.placed(x, 0), piece.rects_at(x, 0), 8.0
    for one in left:
        markup += one.placed(x - ARROW - one.width, y)
        rects |= one.rects_at(x - ARROW - one.width, y)
        middle = y + one.height / 2
        markup += line([(x - ARROW, middle), (x, middle)], "wire", arrow=True)
        y += one.height + 8
    height = max(piece.height, y)
    whole = Piece(x + piece.width, height, markup, x + piece.axis, rects)
    return replace(whole, bracketed=piece.bracketed)
