"""Numbers of specs: the four functions, and the texts that case tables compare."""

import math
from collections.abc import Sequence

from inferflow_core.spec.reader import LARGEST_INT

Number = int | float


def apply_function(name: str, operands: Sequence[Number]) -> Number:
    """`add`, `mul`, `div` of two, `sqrt` of one. Whole numbers give a whole number where the exact
    result is one. Raises ValueError with the reason where there is no finite result."""
    try:
        result = _apply(name, operands)
    except ZeroDivisionError:
        raise ValueError("division by zero") from None
    except OverflowError:
        raise ValueError("the result is too large") from None
    if isinstance(result, int):
        if abs(result) > LARGEST_INT:
            raise ValueError("the result is beyond 64 bits")
    elif not math.isfinite(result):
        raise ValueError("the result is not a finite number")
    return result


def _apply(name: str, operands: Sequence[Number]) -> Number:
    a = operands[0]
    if name == "sqrt":
        if a < 0:
            raise ValueError("the square root of a negative number")
        if isinstance(a, int) and math.isqrt(a) ** 2 == a:
            return math.isqrt(a)
        return math.sqrt(a)
    b = operands[1]
    if name == "add":
        return a + b
    if name == "mul":
        return a * b
    if isinstance(a, int) and isinstance(b, int) and b != 0 and a % b == 0:
        return a // b
    return a / b


def case_text(value: bool | int | float | str) -> str:
    """The text of a value that a case table looks up."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def same_number(key: str, value: float) -> bool:
    """Whether a case key writes this float otherwise (`1e-5` for 1e-05)."""
    try:
        return float(key) == value
    except ValueError:
        return False
