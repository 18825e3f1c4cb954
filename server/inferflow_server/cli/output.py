"""Text and results on stdout; everything else on stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from typing import Any

import click

Progress = Callable[[int, int | None], None]
UNITS = ("kB", "MB", "GB", "TB", "PB")


def note(text: str) -> None:
    """A line for the person at the terminal."""
    click.echo(text, err=True)


def print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of texts as lines with columns, cut nowhere, so that they can be searched."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    for line in columns(rows):
        click.echo(line)


def print_pairs(pairs: Mapping[str, Any]) -> None:
    width = max(len(key) for key in pairs)
    for key, value in pairs.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        click.echo(f"{key:<{width}}  {shown}")


def imports() -> AbstractContextManager[Any]:
    """While plugins are imported: what they print does not get among the results."""
    return redirect_stdout(sys.stderr)


def printable(text: str) -> str:
    """A text from a file, without what could steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def size_text(count: int) -> str:
    """Bytes as a person reads them: `93.4 MB`."""
    if count < 1000:
        return f"{count} bytes"
    power = min((len(str(count)) - 1) // 3, len(UNITS))
    return f"{count / 1000**power:.1f} {UNITS[power - 1]}"


def colour() -> bool | None:
    """Whether to write escape codes: never with NO_COLOR or on a terminal that has none, always
    with FORCE_COLOR or CLICOLOR_FORCE; None where it depends on being on a terminal."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    forced = (os.environ.get(name, "") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    return True if any(value not in ("", "0") for value in forced) else None


@contextmanager
def progress_bar(what: str, *, unit: str) -> Iterator[Progress]:
    """A bar on stderr, gone when it is done; where stderr is no terminal, a line."""
    if not sys.stderr.isatty() or colour() is False:
        note(f"{what} …")
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), count)
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
