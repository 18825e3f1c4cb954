"""Boxes in the order in which they feed each other, from top to bottom.

What feeds the next row goes straight down; what is read further below runs along the right side: a
residual stream.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from inferflow_server.drawing.piece import Piece, Rect
from inferflow_server.drawing.svg import Point, element, label, line, width_of

LANE, BETWEEN = 13.0, 22.0


@dataclass(frozen=True)
class Input:
    """`source` is an index, or None for what comes from above."""

    source: int | None
    text: str = ""


@dataclass(frozen=True)
class Stop:
    """`aside`: the piece stands to the right of what feeds it, in no row of its own."""

    piece: Piece
    inputs: Sequence[Input]
    round: bool = False
    aside: bool = False

    def reads(self, index: int) -> bool:
        return any(one.source == index for one in self.inputs)


def flow(stops: Sequence[Stop], *, gap: float) -> Piece:
    """The stops, each after those that feed it."""
    return _Flow(stops, gap).piece()


class _Flow:
    def __init__(self, stops: Sequence[Stop], gap: float) -> None:
        self.stops, self.gap = stops, gap
        self.ranks: list[int] = []
        for stop in stops:
            ranks = [0 if one.source is None else self.ranks[one.source] for one in stop.inputs]
            self.ranks.append(max(ranks, default=0) + (not stop.aside))
        self.rows = [
            [index for index, stop in enumerate(stops) if self._in(index, rank)]
            for rank in range(1, max(self.ranks, default=0) + 1)
        ]
        self.marks: list[str] = []
        self.lanes: list[tuple[int, int, float]] = []
        self.rects: dict[int, Rect] = {}
        self._place()

    def _in(self, index: int, rank: int) -> bool:
        return self.ranks[index] == rank and not self.stops[index].aside

    def _place(self) -> None:
        """Rows under each other; x = 0 is the line that runs through."""
        y = self.gap
        for row in self.rows:
            pieces = {index: self.stops[index].piece for index in row}
            height = max(piece.height for piece in pieces.values())
            for index, x in self._across(pieces).items():
                self.rects[index] = Rect(x, y, pieces[index].width, pieces[index].height)
            y += height + self.gap
        self.bottom = y - self.gap
        for index, stop in enumerate(self.stops):
            if stop.aside:
                x, y = self._beside(stop.inputs[0].source)
                size = stop.piece.width, stop.piece.height
                self.rects[index] = Rect(x + BETWEEN, y - stop.piece.height / 2, *size)

    def _across(self, pieces: Mapping[int, Piece]) -> dict[int, float]:
        """Each below what feeds it; side by side where that is too narrow."""
        wanted = {index: self._wanted(index) for index in pieces}
        widths = {index: self._room(index) for index in pieces}
        order = sorted(pieces, key=lambda index: (wanted[index], index))
        places = {index: wanted[index] - pieces[index].axis for index in order}
        for left, right in pairwise(order):
            if places[left] + widths[left] + BETWEEN > places[right] + 0.5:
                break
        else:
            return places
        total = sum(widths.values()) + BETWEEN * (len(pieces) - 1)
        x = sum(wanted.values()) / len(wanted) - total / 2
        for index in order:
            places[index] = x
            x += widths[index] + BETWEEN
        return places

    def _room(self, index: int) -> float:
        """What stands aside of a stop takes room as well."""
        asides = [s.piece.width + BETWEEN for s in self.stops if s.aside and s.reads(index)]
        return self.stops[index].piece.width + sum(asides)

    def _wanted(self, index: int) -> float:
        sources = [self._out(one.source)[0] for one in self.stops[index].inputs]
        return sum(sources) / len(sources) if sources else 0

    def _beside(self, source: int | None) -> Point:
        """Where what stands aside is joined: at the right end, or below a bracket."""
        if source is None:
            return 0, 0
        rect = self.rects[source]
        if self.stops[source].piece.bracketed:
            return rect.right, rect.bottom + self.gap * 0.3
        return rect.right, rect.middle[1]

    def piece(self) -> Piece:
        for index, stop in enumerate(self.stops):
            for one in stop.inputs:
                if stop.aside:
                    x, y = self._beside(one.source)
                    start = [(x, y)]
                    if one.source is not None and self.stops[one.source].piece.bracketed:
                        start = [self._out(one.source), (self._out(one.source)[0], y)]
                    self.marks.append(line([*start, (x + BETWEEN - 3, y)], "wire", arrow=True))
                elif self.ranks[index] - self._rank(one.source) == 1:
                    self._straight(one, index)
                else:
                    self._around(one, index)
        right = max((rect.right for rect in self.rects.values()), default=0)
        right = max([right, *(x + 4 for _, _, x in self.lanes)])
        left = max((-rect.x for rect in self.rects.values()), default=0)
        markup, rects = "".join(self.marks), dict[str, Rect]()
        for index, rect in self.rects.items():
            markup += self.stops[index].piece.placed(rect.x, rect.y)
            rects |= self.stops[index].piece.rects_at(rect.x + left, rect.y)
        moved = element("g", markup, transform=f"translate({left:.1f} 0)")
        return Piece(left + right, self.bottom, moved, left, rects)

    def _rank(self, source: int | None) -> int:
        return 0 if source is None else self.ranks[source]

    def _out(self, source: int | None) -> Point:
        """Where a stop's result comes out."""
        if source is None:
            return 0, 0
        rect = self.rects[source]
        return rect.x + self.stops[source].piece.axis, rect.bottom

    def _into(self, index: int) -> Point:
        rect = self.rects[index]
        return rect.x + self.stops[index].piece.axis, rect.y

    def _straight(self, one: Input, index: int) -> None:
        start, end = self._out(one.source), self._into(index)
        turn = end[1] - self.gap / 2
        points = [start, (start[0], turn), (end[0], turn), end]
        if abs(start[0] - end[0]) < 1:
            points = [start, end]
        elif self.stops[index].round:
            rect = self.rects[index]
            side = rect.x if start[0] < end[0] else rect.right
            points = [start, (start[0], rect.middle[1]), (side, rect.middle[1])]
        self.marks.append(line(points, "wire", arrow=True))
        if one.text:
            bent = abs(start[0] - end[0]) >= 1
            y = end[1] - 4 if bent else turn + 3
            self.marks.append(label(end[0] + 7, y, one.text, "shape"))

    def _around(self, one: Input, index: int) -> None:
        """Along the right side, past the rows between."""
        first, last = self._rank(one.source), self.ranks[index] - 1
        between = [item for row in self.rows[first:last] for item in row]
        x = max(self.rects[item].right for item in between) + LANE
        while any(a < last and first < b and abs(at - x) < LANE for a, b, at in self.lanes):
            x += LANE
        self.lanes.append((first, last, x))
        start, end = self._out(one.source), self._into(index)
        leave = start[1] + self.gap * 0.5
        self.marks.append(line([start, (start[0], leave)], "wire"))
        self.marks.append(element("circle", cx=start[0], cy=leave, r=2, class_="joint"))
        if self.stops[index].round:
            rect = self.rects[index]
            ends = [(x, rect.middle[1]), (rect.right, rect.middle[1])]
        else:
            turn = end[1] - self.gap * 0.5
            ends = [(x, turn), (end[0], turn), end]
        self.marks.append(line([(start[0], leave), (x, leave), *ends], "wire", arrow=True))


def words(text: str, style: str, size: float) -> Piece:
    """A text as a piece."""
    width = width_of(text, size)
    return Piece(width, size + 4, label(0, size, text, style), width / 2)
