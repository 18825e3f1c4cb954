"""What a written value means: references, `[config]` defaults, case tables and functions.

Evaluation is lazy, one node at a time: `value` follows references and cases until it meets a table,
a list, a final value or nothing. What comes from a checkpoint is a Datum and never looked into.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from inferflow_core.errors import nearest
from inferflow_core.spec.forms import QUESTIONS, case_parts, function_operands, layer_question
from inferflow_core.spec.functions import Number, apply_function, case_text, same_number
from inferflow_core.spec.merge import lay
from inferflow_core.spec.nodes import (
    CASE_KEYS,
    Array,
    Datum,
    Layers,
    Leaf,
    Node,
    Patched,
    Section,
    Value,
)
from inferflow_core.spec.problems import Wrong, keys_of
from inferflow_core.spec.reader import LARGEST_INT
from inferflow_core.spec.references import Reference, look_up, reference_in, written

MAX_NESTING = 64
MAX_VALUES = 250_000
CHECKPOINT = "checkpoint"


@dataclass
class LayerIndex:
    """The index for which a layer template is evaluated; `asked` once a value depended on it."""

    index: int
    asked: bool = False

    def read(self) -> int:
        self.asked = True
        return self.index


class Values:
    """Evaluates the nodes of one spec for one checkpoint."""

    def __init__(self, root: Section, config: Mapping[str, Any], source: str) -> None:
        self._root = root
        self._config = config
        self._source = source
        self._active: list[str] = []
        self._depth = 0
        self._spent = 0
        self.asked: set[str] = set()
        """Config keys that some value has asked for."""

    def defaults(self) -> list[str]:
        """The keys of `[config]`."""
        table = self._root.get("config")
        return [*table.items] if isinstance(table, Section) else []

    def default(self, key: str) -> Any:
        """What `[config]` says for a key, None if nothing. Raises Wrong."""
        node = written(self._root.get("config"), key)
        found = None if node is None else self.value(node, None)
        return found.value if isinstance(found, Datum) else None

    def value(self, node: Node, layer: LayerIndex | None) -> Value:
        """The node evaluated as far as its own form. Raises Wrong."""
        self._spent += 1
        if self._spent > MAX_VALUES:
            raise Wrong(node.at, "the spec unfolds into too many values")
        if self._depth >= MAX_NESTING:
            raise Wrong(node.at, "references and cases nested too deep")
        self._depth += 1
        try:
            return self._value(node, layer)
        finally:
            self._depth -= 1

    def _value(self, node: Node, layer: LayerIndex | None) -> Value:
        match node:
            case Leaf():
                reference = reference_in(node)
                if reference is None:
                    return Datum(node.value, node.at, node.origin)
                return self._follow(reference, node, layer)
            case Section() if node.is_case:
                return self._case(node, layer)
            case Section() if node.function:
                return self._function(node, node.function, layer)
            case Patched():
                base = self.value(node.base, layer)
                laid = lay(base, node.patch) if isinstance(base, Section) else node.patch
                return self.value(laid, layer)
            case Layers():
                raise Wrong(node.at, "layers are written as a template")
            case _:
                return node

    def _follow(self, reference: Reference, node: Leaf, layer: LayerIndex | None) -> Value:
        if reference.path == "none":
            return None
        if reference.path == "weights.source":
            return Datum(self._source, node.at, f"{node.origin} {node.value} <- {CHECKPOINT}")
        with self._entered(reference.path, node):
            root, *rest = reference.parts
            if root == "config":
                found = self._of_config(".".join(rest), node, reference.optional)
            else:
                found = self._of_model(rest, reference, node, layer)
        if found is None and not reference.optional:
            path = reference.path
            raise Wrong(node.at, f"{path} is absent here; `${{{path}?}}` would allow that")
        if isinstance(found, Datum):
            return Datum(found.value, node.at, f"{node.origin} {node.value} <- {found.origin}")
        return found

    @contextmanager
    def _entered(self, path: str, node: Leaf) -> Generator[None]:
        if path in self._active:
            circle = " -> ".join([*self._active[self._active.index(path) :], path])
            raise Wrong(node.at, f"a circle of references: {circle}")
        self._active.append(path)
        try:
            yield
        finally:
            self._active.pop()

    def _of_config(self, key: str, node: Leaf, optional: bool) -> Value:
        self.asked.add(key)
        value = look_up(self._config, key)
        if value is not None:
            return Datum(value, node.at, CHECKPOINT)
        defaults = self._root.get("config")
        default = written(defaults, key)
        if default is not None:
            found = self.value(default, None)
            if isinstance(found, Datum):
                return Datum(found.value, found.at, f"{found.origin} [config]")
            return found
        if optional:
            return None
        close = nearest(key, [*self._config, *self.defaults()])
        raise Wrong(node.at, f"the checkpoint's config has no {key!r}.{close}")

    def _of_model(
        self, path: Sequence[str], reference: Reference, node: Leaf, layer: LayerIndex | None
    ) -> Value:
        place: Node | None = self._root.get("model")
        where = "model"
        for part in path:
            if place is None:
                break
            inside = self._inside(place, part, layer)
            if isinstance(inside, Section):
                if part not in inside.items and not reference.optional:
                    close = nearest(part, inside.items)
                    keys = keys_of(inside.items)
                    raise Wrong(node.at, f"{where} has no key {part!r}.{close} (keys: {keys})")
                place = inside.get(part)
            elif isinstance(inside, Datum) and isinstance(inside.value, Mapping):
                items = cast("Mapping[str, Any]", inside.value)
                nested = items.get(part)
                place = None if nested is None else Datum(nested, node.at, inside.origin)
            elif inside is None:
                place = None
            else:
                raise Wrong(node.at, f"{where} is no table; it has no {part!r}")
            where = f"{where}.{part}"
        return None if place is None else self.value(place, layer)

    def _inside(self, place: Node, part: str, layer: LayerIndex | None) -> Value:
        """The table to look up `part` in: the written one of a case for `of`, else evaluated."""
        while isinstance(place, Patched) and part in CASE_KEYS:
            place = place.base
        if isinstance(place, Section) and (part in place.items or not place.is_case):
            return place
        return self.value(place, layer)

    def _case(self, node: Section, layer: LayerIndex | None) -> Value:
        question, of, otherwise = case_parts(node)
        text, number = self._answer(question, layer)
        branch = of.get(text)
        if branch is None and isinstance(number, float):
            branch = next((of[key] for key in of if same_number(key, number)), None)
        branch = otherwise if branch is None else branch
        if branch is None:
            place = "" if layer is None or not layer.asked else f" at layer {layer.index}"
            asked = "the case"
            if isinstance(question, Leaf) and reference_in(question):
                asked = f"the case {question.value}"
            message = f"{asked} is {text!r}{place}, which `of` has not (keys: {keys_of(of)})"
            raise Wrong(node.at, f"{message} and there is no `else`")
        return self.value(branch, layer)

    def _answer(self, question: Node, layer: LayerIndex | None) -> tuple[str, Any]:
        if isinstance(question, Section) and layer_question(question):
            return case_text(self._of_layer(question, layer)), None
        value = self.value(question, layer)
        if isinstance(value, Array) or (isinstance(value, Datum) and is_list(value.value)):
            value = self._at_index(value, layer)
        if value is None:
            return "absent", None
        if isinstance(value, Datum) and isinstance(value.value, bool | int | float | str):
            return case_text(value.value), value.value
        raise Wrong(question.at, "a case asks for a value, not for a table")

    def _at_index(self, value: Array | Datum, layer: LayerIndex | None) -> Value:
        index = self._index(value.at, "a list as `case`", layer)
        items: Sequence[Any] = value.items if isinstance(value, Array) else value.value
        if index >= len(items):
            raise Wrong(value.at, f"the list has {len(items)} entries; there is a layer {index}")
        item = items[index]
        if isinstance(value, Array):
            return self.value(item, layer)
        return None if item is None else Datum(item, value.at, value.origin)

    def _of_layer(self, question: Section, layer: LayerIndex | None) -> bool:
        kind = next(key for key in QUESTIONS if key in question.items)
        index = self._index(question.at, f"`{kind}`", layer)
        if kind == "first":
            return index < self._whole(question.items["first"], layer)
        if kind == "every":
            step = self._whole(question.items["every"], layer)
            if step < 1:
                raise Wrong(question.at, f"`every` must be 1 or more, found {step}")
            start = question.get("from")
            begin = step - 1 if start is None else self._whole(start, layer)
            return index >= begin and (index - begin) % step == 0
        among = self.value(question.items["among"], layer)
        if isinstance(among, Array):
            return index in [self._whole(item, layer) for item in among.items]
        if isinstance(among, Datum) and is_list(among.value):
            return any(type(item) is int and item == index for item in among.value)
        raise Wrong(question.at, "`among` needs a list of whole numbers")

    def _index(self, at: str, what: str, layer: LayerIndex | None) -> int:
        if layer is None:
            raise Wrong(at, f"{what} asks for a layer's index, and this is not inside of a layer")
        return layer.read()

    def _whole(self, node: Node, layer: LayerIndex | None) -> int:
        number = self._number(node, layer)
        if not isinstance(number, int):
            found = "nothing" if number is None else repr(number)
            raise Wrong(node.at, f"expected a whole number, found {found}")
        return number

    def _function(self, node: Section, name: str, layer: LayerIndex | None) -> Value:
        operands = [self._number(item, layer) for item in function_operands(node, name)]
        numbers = [number for number in operands if number is not None]
        if len(numbers) < len(operands):
            return None
        try:
            return Datum(apply_function(name, numbers), node.at, node.origin)
        except ValueError as error:
            raise Wrong(node.at, f"{name}: {error}") from None

    def _number(self, node: Node, layer: LayerIndex | None) -> Number | None:
        value = self.value(node, layer)
        if value is None:
            return None
        if isinstance(value, Datum) and isinstance(value.value, int | float):
            number = value.value
            if not isinstance(number, bool):
                if isinstance(number, int) and abs(number) > LARGEST_INT:
                    raise Wrong(node.at, "a whole number beyond 64 bits")
                return number
        found = repr(value.value) if isinstance(value, Datum) else "a table or list"
        raise Wrong(node.at, f"expected a number, found {found}")


def is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
