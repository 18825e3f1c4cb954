"""A block as a box: its entry, fields, the blocks inside, its larger weights and its caches.

Nothing here knows an entry's name: a block of any package is drawn by its kind and its fields.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inferflow_server.drawing.flow import Input, Stop, flow
from inferflow_server.drawing.piece import Piece, Rect, bracketed
from inferflow_server.drawing.svg import element, label, line, safe, short, spans, width_of

Node = dict[str, Any]
Part = tuple[str, str]
"""A text and its style."""

WIDTH, PAD, LINE = 300.0, 10.0, 17.0
INSIDE = 14.0
"""Around what is in a layer."""
TITLE, TEXT, FINE = 13.0, 11.5, 10.5
KINDS = {"norm", "position", "mixer", "ffn", "router", "embedding", "head", "layer"}
SIGNS: Mapping[str, str] = {"add": "+", "mul": "×", "sub": "−", "div": "÷"}
CACHES = {"TokenState": "cache a token", "SourceState": "cache a source token"}
MOST_VALUES = 6
"""Of a list; the rest becomes an ellipsis."""


def block_piece(node: Node, name: str, *, width: float = WIDTH, more: Sequence[str] = ()) -> Piece:
    """`more`: lines of the drawing's own."""
    inner = width - 2 * PAD
    title = [(node["entry"], "entry"), (f"  {short(name)}" if name != node["kind"] else "", "slot")]
    count = short_count(node["parameters"])
    room = inner - _length(title) - width_of(count, FINE) - 14
    fields = list(_fields(node["fields"]))
    marks: list[str] = []
    y = PAD + 11
    if fields and not node["children"] and _length(_joined(fields)) <= room:
        title += [("   ", "key"), *_joined(fields)]
        fields = []
    marks.append(spans(PAD, y, title))
    marks.append(label(width - PAD, y, count, "count", "end"))
    for row in _wrapped(fields, inner):
        y += LINE
        marks.append(spans(PAD, y, row))
    rects: dict[str, Rect] = {}
    y += 9
    for row in _rows(node, inner):
        x = PAD
        for piece in row:
            marks.append(piece.placed(x, y))
            rects |= piece.rects_at(x, y)
            x += piece.width + 6
        y += max(piece.height for piece in row) + 6
    y -= 9
    for row in [*_fine_rows(node, inner), *([(text, "tie")] for text in more)]:
        y += LINE - 1
        marks.append(spans(PAD, y, row))
    height = y + PAD
    rects[node["path"]] = Rect(0, 0, width, height)
    style = node["kind"] if node["kind"] in KINDS else "other"
    frame = element("rect", x=0, y=0, width=width, height=height, rx=7, class_=f"block {style}")
    return Piece(width, height, element("g", _hint(node), frame, *marks), width / 2, rects)


def layer_piece(node: Node, name: str) -> Piece:
    """A layer with what is inside, as its wiring says."""
    children = {_name(child, node): child for child in node["children"]}
    steps = max(node["wiring"].values(), key=len, default=())
    if not any(step["block"] for step in steps):
        return bracketed(block_piece(node, name), node["repeat"])
    body = flow(list(_stops(steps, children)), gap=22)
    title = [(node["entry"], "entry"), (f"  {short(name)}", "slot")]
    if node["fields"]:
        title += [("   ", "key"), *_joined(list(_fields(node["fields"])))]
    count = short_count(node["parameters"]) + (" each" if node["repeat"] > 1 else "")
    left = body.axis + INSIDE
    room = _length(title) + width_of(count, FINE) + 3 * INSIDE
    width = max(left + body.width - body.axis + INSIDE, room)
    marks = [spans(12, 20, title), label(width - 12, 20, count, "count", "end")]
    rects = dict[str, Rect]()
    y = 24.0
    for slot in children.keys() - {step["block"] for step in steps}:
        piece = block_piece(children[slot], slot)
        marks.append(piece.placed(INSIDE, y + 8))
        y += piece.height + 8
    marks.append(body.placed(INSIDE, y))
    rects |= body.rects_at(INSIDE, y)
    height = y + body.height + INSIDE
    marks.append(line([(left, height - INSIDE), (left, height)], "wire"))
    rects[node["path"]] = Rect(0, 0, width, height)
    frame = element("rect", x=0, y=0, width=width, height=height, rx=10, class_="layer")
    markup = element("g", _hint(node), frame, *marks)
    return bracketed(Piece(width, height, markup, left, rects), node["repeat"])


def _hint(node: Node) -> str:
    """What a browser shows over a box."""
    return element("title", safe(f"{node['path']}: {node['parameters']:,} parameters"))


def _stops(steps: Sequence[Node], children: Mapping[str, Node]) -> Iterator[Stop]:
    """The steps of a layer. A shape is written where it is not that of what comes in."""
    usual = next((one["shape"] for step in steps for one in step["inputs"]), None)
    for step in steps:
        inputs = [
            Input(one["from"], "" if one["shape"] == usual else shape_text(one["shape"]))
            for one in step["inputs"]
        ]
        if step["block"] is None:
            yield Stop(operator(step), inputs, round=True)
        else:
            yield Stop(block_piece(children[step["block"]], step["block"]), inputs)


def operator(step: Node) -> Piece:
    """An op as a circle with a sign, or a pill with a word."""
    sign = SIGNS.get(step["op"], step["op"])
    text = short(f"{sign} {step['note']}" if step["note"] else sign)
    width = 20.0 if len(text) == 1 else width_of(text, TEXT) + 14
    shape = element("rect", x=0, y=0, width=width, height=20, rx=10, class_="sign")
    word = label(width / 2, 14.5, text, "signtext", "middle")
    return Piece(width, 20, shape + word, width / 2)


def short_count(count: int) -> str:
    """`1.54B`, `37.0k`; nothing for none."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count) if count else ""


def shape_text(shape: Sequence[int | str]) -> str:
    return " × ".join(map(str, shape))


def _name(child: Node, parent: Node) -> str:
    return child["path"].removeprefix(f"{parent['path']}.")


def _rows(node: Node, width: float) -> Iterator[list[Piece]]:
    """The blocks inside, several in a line where they are narrow."""
    row: list[Piece] = []
    for child in node["children"]:
        name = _name(child, node)
        least = _least(child, name)
        piece = bracketed(
            block_piece(child, name, width=min(width, least))
            if least < width
            else block_piece(child, name, width=width - (44 if child["repeat"] > 1 else 0)),
            child["repeat"],
        )
        if row and sum(one.width + 6 for one in row) + piece.width > width:
            yield row
            row = []
        row.append(piece)
    if row:
        yield row


def _least(node: Node, name: str) -> float:
    """The width at which a block without anything inside fits in one line."""
    if node["children"] or any(_fine(node)):
        return float("inf")
    title = [(node["entry"], "entry"), (f"  {name}", "slot"), ("   ", "key")]
    fields = _joined(list(_fields(node["fields"])))
    count = width_of(short_count(node["parameters"]), FINE)
    return _length(title) + _length(fields) + count + 2 * PAD + 18


def _fields(fields: Mapping[str, Any]) -> Iterator[list[Part]]:
    """Each field: its name and its value."""
    for key, value in fields.items():
        if isinstance(value, bool):
            yield [(f"{key} ", "key"), ("yes" if value else "no", "value")]
        elif isinstance(value, Mapping):
            inside = [part for item in _fields(value) for part in (*item, (" ", "key"))]
            yield [(f"{key} ", "key"), *inside]
        else:
            yield [(f"{key} ", "key"), (_value(value), "value")]


def _value(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        more = ", …" if len(value) > MOST_VALUES else ""
        return ", ".join(map(_value, value[:MOST_VALUES])) + more
    return f"{value:g}" if isinstance(value, float) else short(str(value))


def _fine(node: Node) -> Iterator[list[list[Part]]]:
    """Weights with two or more axes, and what a token leaves behind."""
    large = {name: p["shape"] for name, p in node["params"].items() if len(p["shape"]) > 1}
    if large:
        shown = large.items()
        yield [[(f"{k.removesuffix('.weight')} {_times(s)}", "fine")] for k, s in shown]
    if node["states"]:
        shown = node["states"].items()
        words = [f"{name} {_times(state['shape'])}" for name, state in shown]
        first = next(iter(node["states"].values()))["type"]
        yield [[(f"{CACHES.get(first, 'state')}: {words[0]}", "fine")]] + [
            [(word, "fine")] for word in words[1:]
        ]


def _fine_rows(node: Node, width: float) -> Iterator[list[Part]]:
    for items in _fine(node):
        yield from _wrapped(items, width)


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _joined(items: Sequence[list[Part]]) -> list[Part]:
    """Items in a line, with dots between."""
    parts: list[Part] = []
    for item in items:
        parts += [(" · ", "key")] if parts else []
        parts += item
    return parts


def _wrapped(items: Sequence[list[Part]], width: float) -> Iterator[list[Part]]:
    row: list[list[Part]] = []
    for item in items:
        if row and _length(_joined([*row, item])) > width:
            yield _joined(row)
            row = []
        row.append(item)
    if row:
        yield _joined(row)


def _length(parts: Sequence[Part]) -> float:
    sizes = {"entry": TITLE * 1.06, "slot": TEXT, "fine": FINE}
    return sum(
        width_of(text, sizes.get(style, TEXT), mono=style == "fine") for text, style in parts
    )
