"""The forms of case tables, layer questions and function calls."""

from collections.abc import Mapping

from inferflow_core.spec.nodes import CASE_KEYS, FUNCTIONS, Array, Node, Section
from inferflow_core.spec.problems import Wrong, keys_of

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "first": ("first",),
    "every": ("every", "from"),
    "among": ("among",),
}


def case_parts(node: Section) -> tuple[Node, Mapping[str, Node], Node | None]:
    """V, the branches and `else` of a case table. Raises Wrong if it has another form."""
    for key in node.items:
        if key not in CASE_KEYS:
            raise Wrong(f"{node.at}.{key}", "beside `case` only `of` and `else` may stand")
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
