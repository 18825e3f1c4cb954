"""A drawing as an SVG file: title, style, legend."""

from collections.abc import Sequence
from importlib.resources import files

from inferflow_server.drawing.svg import element, label, safe, width_of

MARGIN, HEAD, FOOT = 28.0, 66.0, 58.0
LEGEND = "T: tokens of a step · R: rows asked for · S: sequences · × n: n equal ones, in order"


def document(
    title: str, about: str, marks: Sequence[str], drawn_width: float, drawn_height: float
) -> str:
    """All of it: it fetches nothing and follows the reader's light or dark."""
    texts = max(width_of(title, 20), width_of(about, 12.5), width_of(LEGEND, 11))
    width = max(drawn_width, texts) + 2 * MARGIN
    height = HEAD + drawn_height + FOOT
    left = (width - drawn_width) / 2
    style = (files("inferflow_server") / "drawing" / "style.css").read_text("utf-8")
    return element(
        "svg",
        element("title", safe(title)),
        element("style", style),
        element("defs", _tip("arrow"), _tip("cross")),
        element("rect", x=0, y=0, width=width, height=height, rx=12, class_="paper"),
        label(MARGIN, 38, title, "name"),
        label(MARGIN, 58, about, "about"),
        element("g", *marks, transform=f"translate({left:.1f} {HEAD:.1f})"),
        label(MARGIN, height - 18, LEGEND, "legend"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="img",
    )


def _tip(name: str) -> str:
    """The head of an arrow."""
    return element(
        "marker",
        element("path", d="M0 0L7 3.5L0 7Z", class_=f"tip-{name}"),
        id=name,
        markerWidth=7,
        markerHeight=7,
        refX=6.5,
        refY=3.5,
        orient="auto-start-reverse",
        markerUnits="userSpaceOnUse",
    )
