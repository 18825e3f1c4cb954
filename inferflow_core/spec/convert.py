"""Evaluated values -> the Python values of fields, by type; nothing is ever guessed."""

import math
from collections.abc import Mapping
from typing import Any, cast

from inferflow_core.block import ACTIVATIONS
from inferflow_core.errors import nearest
from inferflow_core.spec.field_types import Either, Named, Plugin, Scalar, Type, Words, describe
from inferflow_core.spec.reader import LARGEST_INT, MAX_DEPTH


class Mismatch(Exception):
    """A value is not of the wanted type; the text says what was wanted and what was found."""


def convert(kind: Type, value: Any) -> Any:
    """A scalar as the type wants it: an int serves as float, never a text as a number, never a bool
    as an int; activations in their canonical spelling. Raises Mismatch."""
    match kind:
        case Scalar("bool") if isinstance(value, bool):
            return value
        case Scalar("int") if isinstance(value, int) and not isinstance(value, bool):
            return _whole(value)
        case Scalar("float") if isinstance(value, int | float) and not isinstance(value, bool):
            return _finite(float(_whole(value)) if isinstance(value, int) else value)
        case Scalar("str") | Named() if isinstance(value, str):
            return value
        case Scalar("act") if isinstance(value, str):
            if value in ACTIVATIONS:
                return ACTIVATIONS[value]
            raise Mismatch(_not_one_of("activation", value, ACTIVATIONS))
        case Words(words) if isinstance(value, str):
            if value in words:
                return value
            raise Mismatch(_not_one_of("word", value, dict.fromkeys(words)))
        case Either(options):
            return _either(options, value)
        case Plugin() if isinstance(value, str):
            raise Mismatch(f"expected {describe(kind)}, a table: {{ use = {value[:60]!r} }}")
        case Plugin() if isinstance(value, Mapping):
            raise Mismatch("what comes from a checkpoint is data and never names a plugin")
        case _:
            raise Mismatch(f"expected {describe(kind)}, found {found(value)}")


def _either(options: tuple[Type, ...], value: Any) -> Any:
    reasons: list[str] = []
    for option in options:
        try:
            return convert(option, value)
        except Mismatch as mismatch:
            reasons.append(str(mismatch))
    special = [reason for reason in reasons if not reason.startswith("expected")]
    raise Mismatch(
        special[0] if special else f"expected {describe(Either(options))}, found {found(value)}"
    )


def _whole(value: int) -> int:
    if abs(value) > LARGEST_INT:
        raise Mismatch("a whole number beyond 64 bits")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise Mismatch(f"expected a finite number, found {value}")
    return value


def _not_one_of(what: str, value: str, allowed: Mapping[str, Any]) -> str:
    return f"no {what} {value[:60]!r}.{nearest(value, allowed)} (have: {', '.join(allowed)})"


def found(value: Any) -> str:
    """A value in the words of an error message."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if abs(value) <= LARGEST_INT else "a number beyond 64 bits"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, Mapping):
        return "a table of the checkpoint"
    return "a list"


def plain(value: Any, depth: int = 0) -> Any:
    """Data of a checkpoint as plain values without nulls. Raises Mismatch where it is no data."""
    if depth > MAX_DEPTH:
        raise Mismatch(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {str(k): plain(v, depth + 1) for k, v in items if v is not None}
    if isinstance(value, list | tuple):
        return [plain(v, depth + 1) for v in cast("list[Any]", value) if v is not None]
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return _whole(value)
    raise Mismatch(f"a {type(value).__name__} is not data")
