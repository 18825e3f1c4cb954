"""SVG by hand: elements whose every text is escaped, and how wide a text will be, nearly."""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from inferflow_server.cli.output import printable

LONGEST = 40
"""Characters of a name or value that stands in a box; the rest becomes an ellipsis."""
NARROW, WIDE = "fijlrtI.,:;|'()[]{} ·-", "mwMWQO@%×"
Point = tuple[float, float]


def number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def element(tag: str, *inside: str, **attributes: str | float) -> str:
    """`inside` is markup already; keys end with _ where Python has the word and have - for _."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}="
        + quoteattr(value if isinstance(value, str) else number(value))
        for key, value in attributes.items()
    )
    return f"<{tag}{written}>{''.join(inside)}</{tag}>" if inside else f"<{tag}{written}/>"


def safe(text: str) -> str:
    """A text, which may be of a stranger's file, as text of an element."""
    return escape(printable(text))


def short(text: str) -> str:
    """A text from a file, so that it leaves room for others."""
    shown = printable(text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def label(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    return element("text", safe(text), x=x, y=y, class_=style, text_anchor=anchor)


def spans(x: float, y: float, parts: Sequence[tuple[str, str]]) -> str:
    """Texts one after the other, each with its own style."""
    inner = [element("tspan", safe(text), class_=style) for text, style in parts]
    return element("text", *inner, x=x, y=y, xml__space="preserve")


def line(points: Sequence[Point], style: str, *, arrow: bool = False, bend: float = 6) -> str:
    """Straight pieces with round bends."""
    path = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _toward(corner, before, bend), _toward(corner, after, bend)
        path.append(f"L{number(start[0])} {number(start[1])}")
        path.append(" ".join(["Q", *map(number, (*corner, *end))]))
    path.append(f"L{number(points[-1][0])} {number(points[-1][1])}")
    head = {"marker_end": f"url(#{'arrow' if style == 'wire' else style})"} if arrow else {}
    return element("path", d="".join(path), class_=style, **head)


def _toward(corner: Point, other: Point, distance: float) -> Point:
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = max(abs(dx), abs(dy))
    share = min(distance, length / 2) / length if length else 0
    return corner[0] + dx * share, corner[1] + dy * share


def width_of(text: str, size: float, *, mono: bool = False) -> float:
    """Pixels, rather too many than too few: there are no fonts to ask."""
    if mono:
        return 0.61 * size * len(text)
    return size * sum(0.34 if c in NARROW else 0.9 if c in WIDE else 0.62 for c in text)
