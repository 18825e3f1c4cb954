"""What a written value means: references, `[config]` defaults, case tables and functions.

Evaluation is lazy, one node at a time: `value` follows references and cases until it meets a table,
a list, a final value or nothing. What comes from a checkpoint is a Datum and never looked into.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from inferflow_core.errors import nearest
from inferflow_core.spec.functions import Number, apply_function, case_text, same_number
from inferflow_core.spec.merge import merge
from inferflow_core.spec.nodes import (
    CASE_KEYS,
    FUNCTIONS,
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

REFERENCE = re.compile(r"\$\{([^{}]*)\}")
PASTED = re.compile(r"\$\{(config|model|weights|none)\b")
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "first": ("first",),
    "every": ("every", "from"),
    "among": ("among",),
}
MAX_NESTING = 64
MAX_VALUES = 400_000
CHECKPOINT = "checkpoint"


@dataclass
class LayerIndex:
    """The index for which a layer template is evaluated; `asked` once a value depended on it."""

    index: int
    asked: bool = False

    def read(self) -> int:
        self.asked = True
        return self.index


@dataclass(frozen=True)
class Reference:
    """`${root.rest}`; `optional` with a question mark."""

    path: str
    optional: bool

    @property
    def parts(self) -> list[str]:
        return self.path.split(".")


def reference_in(leaf: Leaf) -> Reference | None:
    """The reference that a leaf is, if it is one. Raises Wrong for one inside of other text."""
    if not isinstance(leaf.value, str):
        return None
    found = REFERENCE.fullmatch(leaf.value)
    if found is None:
        if PASTED.search(leaf.value):
            raise Wrong(leaf.at, f"a reference must be the whole value, found {leaf.value!r}")
        return None
    path, optional = found[1].removesuffix("?"), found[1].endswith("?")
    root, _, rest = path.partition(".")
    if path == "none" or path == "weights.source" or (root in ("config", "model") and rest):
        return Reference(path, optional)
    known = ("config", "model", "weights.source", "none")
    allowed = "${config.…}, ${model.…}, ${weights.source} and ${none}"
    raise Wrong(leaf.at, f"no reference ${{{path}}}.{nearest(root, known)} (there are {allowed})")


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
                patched = merge(base, node.patch)
                return patched if isinstance(patched, Section) else node.patch
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
    def _entered(self, path: str, node: Leaf) -> Iterator[None]:
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
        value = _look_up(self._config, key)
        if value is not None:
            return Datum(value, node.at, CHECKPOINT)
        defaults = self._root.get("config")
        default = _written(defaults, key)
        if default is not None:
            found = self.value(default, None)
            if isinstance(found, Datum):
                return Datum(found.value, found.at, f"{found.origin} [config]")
            if found is None or isinstance(found, Array) or optional:
                return found
            return found
        if optional:
            return None
        written = defaults.items if isinstance(defaults, Section) else {}
        close = nearest(key, [*self._config, *written])
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
            message = f"the case is {text!r}{place}, which `of` has not (keys: {keys_of(of)})"
            raise Wrong(node.at, f"{message} and there is no `else`")
        return self.value(branch, layer)

    def _answer(self, question: Node, layer: LayerIndex | None) -> tuple[str, Any]:
        if isinstance(question, Section) and layer_question(question):
            return case_text(self._of_layer(question, layer)), None
        value = self.value(question, layer)
        if isinstance(value, Array) or (isinstance(value, Datum) and isinstance(value.value, list)):
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
        value = self.value(question.items["among"], layer)
        if isinstance(value, Array):
            return index in [self._whole(item, layer) for item in value.items]
        if isinstance(value, Datum) and isinstance(value.value, list):
            items = cast("list[Any]", value.value)
            return any(isinstance(i, int) and not isinstance(i, bool) and i == index for i in items)
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


def case_parts(node: Section) -> tuple[Node, Mapping[str, Node], Node | None]:
    """V, the branches and `else` of a case table. Raises Wrong if it has another form."""
    for key in node.items:
        if key not in CASE_KEYS:
            raise Wrong(f"{node.at}.{key}", "a table with `case` has only `of` and `else` beside it")
    of = node.get("of")
    otherwise = node.get("else")
    if of is None and otherwise is None:
        raise Wrong(node.at, "a case needs `of`, `else` or both")
    if of is not None and not isinstance(of, Section):
        raise Wrong(f"{node.at}.of", "must be a table from texts to values")
    return node.items["case"], {} if of is None else of.items, otherwise


def layer_question(node: Section) -> bool:
    """Whether V is one of `first`, `every`, `among`. Raises Wrong for keys beside them."""
    kind = next((key for key in QUESTIONS if key in node.items), None)
    if kind is None:
        return False
    for key in node.items:
        if key not in QUESTIONS[kind]:
            raise Wrong(f"{node.at}.{key}", f"unknown key (keys: {keys_of(QUESTIONS[kind])})")
    return True


def function_operands(node: Section, name: str) -> tuple[Node, ...]:
    """The operands of a function table. Raises Wrong if there are too many or too few."""
    operand = node.items[name]
    if FUNCTIONS[name] == 1:
        return (operand,)
    if not isinstance(operand, Array) or len(operand.items) != FUNCTIONS[name]:
        raise Wrong(node.at, f"`{name}` needs a list of {FUNCTIONS[name]} numbers")
    return operand.items


def _look_up(config: Mapping[str, Any], key: str) -> Any:
    """A config value by its whole name (GGUF names have dots), else from nested tables."""
    if (value := config.get(key)) is not None:
        return value
    place: Any = config
    for part in key.split("."):
        if not isinstance(place, Mapping):
            return None
        place = cast("Mapping[str, Any]", place).get(part)
    return place


def _written(defaults: Node | None, key: str) -> Node | None:
    if isinstance(defaults, Section) and (whole := defaults.get(key)) is not None:
        return whole
    place = defaults
    for part in key.split("."):
        if not isinstance(place, Section):
            return None
        place = place.get(part)
    return place
