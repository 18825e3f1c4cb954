"""The picture of a network: `picture(report)` of what `inspect` reports."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inferflow_server.drawing.blocks import (
    INSIDE,
    WIDTH,
    block_piece,
    layer_piece,
    operator,
    shape_text,
    short_count,
)
from inferflow_server.drawing.document import document
from inferflow_server.drawing.flow import LANE, Input, Stop, flow, words
from inferflow_server.drawing.folding import folded
from inferflow_server.drawing.piece import Piece, Rect, beside, bracketed
from inferflow_server.drawing.svg import element, label, line

Node = dict[str, Any]
Report = dict[str, Any]
GAP = 34.0
COLUMNS = 96.0
"""Between encoder and decoder: room for what crosses."""
ORDER = ("encode", "step")
BROAD = WIDTH + 2 * INSIDE + LANE + 4
"""As broad as most layers are."""
NARROW = 250.0
"""What all layers share."""
LEFT = 24.0
"""Where lines of tied weights run."""


def picture(report: Report) -> str:
    """An SVG document. `report["network"]` is the tree of `network_tree`."""
    model: Node = report["network"]
    drawn = _Picture(model)
    about = f"{report['spec']} · {model['entry']} · {report['parameters']:,} parameters"
    about += f" ({short_count(report['parameters'])}) · context {report['context']:,}"
    return document(report["name"], about, drawn.marks, drawn.width, drawn.height)


class _Picture:
    """Columns beside each other, one for each entry of the model, and what leads across."""

    def __init__(self, model: Node) -> None:
        self.model = model
        self.items = folded(_units(model))
        self.wiring = {entry: model["wiring"][entry] for entry in _in_order(model["wiring"])}
        self.ties = _ties(model)
        self.marks: list[str] = []
        self.rects: dict[str, Rect] = {}
        self.width = self.height = 0.0
        self.crossings: dict[tuple[int, int], None] = {}
        self.spans: list[tuple[float, float]] = []
        """Left and right end of each column."""
        columns = [(entry, self._column(entry)) for entry in self.wiring]
        drawn = [(entry, piece) for entry, piece in columns if piece is not None]
        x = LEFT if self.ties else 0.0
        top = 22.0 if len(drawn) > 1 else 0.0
        for entry, piece in drawn:
            if top:
                self.marks.append(label(x + piece.axis, top - 6, entry, "column", "middle"))
            self.marks.append(piece.placed(x, top))
            self.rects |= piece.rects_at(x, top)
            self.spans.append((x, x + piece.width))
            self.width, self.height = x + piece.width, max(self.height, top + piece.height)
            x += piece.width + COLUMNS
        for source, target in self.crossings:
            self._cross(source, target)
        for number, (path, target) in enumerate(self.ties.items()):
            self._tie(path, target, number)

    def _item(self, block: str) -> int | None:
        return next((i for i, item in enumerate(self.items) if item.holds(block)), None)

    def _home(self, index: int) -> str:
        """The last entry in which an item does something; of one that does nothing by itself, the
        next item's."""
        homes = [entry for entry, steps in self.wiring.items() if self._acts(index, steps)]
        return homes[-1] if homes else self._home((index + 1) % len(self.items))

    def _acts(self, index: int, steps: Sequence[Node]) -> bool:
        return any(s["block"] and self.items[index].holds(s["block"]) for s in steps)

    def _column(self, entry: str) -> Piece | None:
        steps = self.wiring[entry]
        here = [index for index in range(len(self.items)) if self._home(index) == entry]
        shared = [self._piece(index) for index in here if not self._acts(index, steps)]
        stops: list[Stop] = []
        places: dict[int, int] = {}
        last = -1
        made: list[int | None] = []
        """Step -> its stop; None where it is in another column."""
        for step in steps:
            item = None if step["block"] is None else self._item(step["block"])
            inputs = self._inputs(step, made)
            if item is not None and item not in here:
                self._note_crossing(steps, step, item)
                made.append(None)
                continue
            if item is not None and item in places:
                made.append(places[item])
                continue
            if step["op"] == "output":
                stops.append(_output(step, inputs, last))
            elif item is None:
                stops.append(Stop(operator(step), inputs, round=True))
            else:
                piece = self._piece(item)
                if self.items[item].nodes[0]["kind"] == "layer":
                    piece, shared = beside(shared, piece), []
                stops.append(Stop(piece, inputs or [Input(None, "token ids T")]))
                places[item] = len(stops) - 1
            last = len(stops) - 1 if step["op"] != "output" else last
            made.append(len(stops) - 1)
        return flow(stops, gap=GAP) if here else None

    def _inputs(self, step: Node, made: Sequence[int | None]) -> list[Input]:
        found: dict[int, Input] = {}
        for one in step["inputs"]:
            source = None if one["from"] is None else made[one["from"]]
            if source is not None:
                found.setdefault(source, Input(source, shape_text(one["shape"])))
        return list(found.values())

    def _note_crossing(self, steps: Sequence[Node], step: Node, target: int) -> None:
        for one in step["inputs"]:
            block = None if one["from"] is None else steps[one["from"]]["block"]
            source = None if block is None else self._item(block)
            if source is not None and source != target:
                self.crossings[source, target] = None

    def _piece(self, index: int) -> Piece:
        group = self.items[index]
        if len(group.nodes) == 1:
            node = group.nodes[0]
            tied = [(p, t) for p, t in self.ties.items() if _below(p, node["path"])]
            more = [f"{p.removeprefix(node['path'] + '.')} = {target}" for p, target in tied]
            if node["kind"] == "layer":
                return layer_piece(node, node["path"])
            if node["kind"] == "position":
                return block_piece(node, node["path"], width=NARROW)
            piece = block_piece(node, node["path"], width=BROAD, more=more)
            return replace(piece, axis=WIDTH / 2 + INSIDE)
        layers = zip(group.shown, group.names(), strict=True)
        pieces = [layer_piece(node, name) for node, name in layers]
        links = [Input(None if number == 0 else number - 1) for number in range(len(pieces))]
        inner = flow([Stop(p, [i]) for p, i in zip(pieces, links, strict=True)], gap=20)
        size = {"width": inner.width + 16, "height": inner.height + 14}
        frame = element("rect", x=0, y=0, rx=12, class_="group", **size)
        end = f"M{inner.axis + 8:.1f} {inner.height:.1f}v14"
        markup = frame + inner.placed(8, 0) + element("path", d=end, class_="wire")
        rects = inner.rects_at(8, 0)
        whole = Piece(size["width"], size["height"], markup, inner.axis + 8, rects)
        return bracketed(whole, group.times)

    def _cross(self, source: int, target: int) -> None:
        """From what the encoder puts out to each block that keeps a cache of it."""
        start = self.rects[self.items[source].shown[-1]["path"]]
        x = self._span(start)[1] + COLUMNS / 2
        for node in self.items[target].shown:
            for path in _readers(node) or [node["path"]]:
                end = self.rects[path]
                points = [(start.right, start.middle[1]), (x, start.middle[1])]
                points += [(x, end.middle[1]), (end.x, end.middle[1])]
                self.marks.append(line(points, "cross", arrow=True))

    def _tie(self, path: str, target: str, number: int) -> None:
        """A dashed line between two blocks that have one weight."""
        one, other = self._rect(path), self._rect(target)
        if one is None or other is None or one == other:
            return
        if one.x >= other.right:
            one, other = other, one
        if other.x >= one.right:
            x = self._span(one)[1] + 14 + 8 * number
            points = [(one.right, one.middle[1]), (x, one.middle[1])]
            points += [(x, other.middle[1]), (other.x, other.middle[1])]
        else:
            x = self._span(one)[0] - 14 - 8 * number
            points = [(one.x, one.middle[1]), (x, one.middle[1])]
            points += [(x, other.middle[1]), (other.x, other.middle[1])]
        self.marks.append(line(points, "tied"))

    def _span(self, rect: Rect) -> tuple[float, float]:
        """The column that a rect is in."""
        return next(span for span in self.spans if span[0] <= rect.x < span[1])

    def _rect(self, path: str) -> Rect | None:
        holders = [place for place in self.rects if _below(path, place)]
        return self.rects[max(holders, key=len)] if holders else None


def _output(step: Node, inputs: list[Input], last: int) -> Stop:
    """What the model gives: below the last block, or beside another."""
    below = bool(inputs) and inputs[0].source == last
    text = step["note"] if below or not inputs else f"{step['note']} {inputs[0].text}"
    return Stop(words(text, "output", 12), inputs, aside=not below)


def _in_order(entries: Mapping[str, Any]) -> list[str]:
    return sorted(entries, key=lambda e: ORDER.index(e) if e in ORDER else len(ORDER))


def _units(node: Node) -> list[Node]:
    """The blocks of a model; those that hold layers are looked into."""
    units: list[Node] = []
    for child in node["children"]:
        units += _units(child) if child["kind"] != "layer" and _holds_layers(child) else [child]
    return units


def _holds_layers(node: Node) -> bool:
    return any(c["kind"] == "layer" or _holds_layers(c) for c in node["children"])


def _readers(node: Node) -> list[str]:
    """The blocks that keep a cache of what an encoder puts out."""
    own = any(state["type"] == "SourceState" for state in node["states"].values())
    return [node["path"]] * own + [path for child in node["children"] for path in _readers(child)]


def _ties(node: Node) -> dict[str, str]:
    """Path of a tied weight -> the weight that it is."""
    prefix = f"{node['path']}." if node["path"] else ""
    ties = {prefix + name: prefix + target for name, target in node["tied"].items()}
    for child in node["children"]:
        ties |= _ties(child)
    return ties


def _below(path: str, block: str) -> bool:
    return path.startswith(f"{block}.")
