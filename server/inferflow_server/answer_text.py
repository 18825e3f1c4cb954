"""Text that a model made, on its way to stdout."""

import sys
from collections.abc import Mapping

import click

SHOWN: Mapping[int, int | str] = {
    **{code: 0x2400 + code for code in range(32) if code not in (9, 10)},
    127: 0x2421,
    **{code: f"\\x{code:02x}" for code in range(128, 160)},
}
"""Control characters, but for tab and newline, as visible signs: a terminal would obey them."""


def visible(text: str) -> str:
    return text.translate(SHOWN)


def write_answer(text: str) -> None:
    """At once; without control characters where stdout is a terminal."""
    sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def note_answer(text: str) -> None:
    """A line on stderr that may quote a model, a server or a file."""
    click.echo(visible(text), err=True)
