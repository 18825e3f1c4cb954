"""Checks of numbers, for `__post_init__` of blocks."""

from __future__ import annotations


def at_least(least: int, block: object, *fields: str) -> None:
    """Raises ValueError where a field is a number below `least`."""
    for name in fields:
        value = getattr(block, name)
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}; it must be {least} or more")


def above_zero(block: object, *fields: str) -> None:
    """Raises ValueError where a field is zero or less."""
    for name in fields:
        value = getattr(block, name)
        if value is not None and not value > 0:
            raise ValueError(f"{name} is {value}; it must be above 0")
