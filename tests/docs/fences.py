"""The fenced blocks, headings and links of a Markdown page."""

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

OPEN = re.compile(r"^ *(```+|~~~+) *([^\s`]*) *([^`]*)$")
OPTION = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Fence:
    """```language key="value"; `line` is that of its first content, counted from 1."""

    language: str
    options: dict[str, str] = field(default_factory=dict[str, str])
    text: str = ""
    line: int = 1


def fences(page: str) -> list[Fence]:
    """Raises ValueError where a fence has no end, or an info string that is not understood."""
    found: list[Fence] = []
    lines = page.split("\n")
    number = 0
    while number < len(lines):
        opened = OPEN.match(lines[number])
        number += 1
        if not opened:
            continue
        mark, language, info = opened.groups()
        if OPTION.sub("", info).strip():
            raise ValueError(f'line {number}: {info!r} is not key="value"')
        start = number
        while number < len(lines) and lines[number].strip() != mark:
            number += 1
        if number == len(lines):
            raise ValueError(f"line {start}: the block has no end")
        text = textwrap.dedent("\n".join(lines[start:number]) + "\n")
        found.append(Fence(language, dict(OPTION.findall(info)), text, start + 1))
        number += 1
    return found


def outside(page: str) -> list[str]:
    """The lines that are in no fenced block."""
    kept: list[str] = []
    mark = ""
    for line in page.split("\n"):
        opened = OPEN.match(line)
        if mark:
            mark = "" if line.strip() == mark else mark
        elif opened:
            mark = opened[1]
        else:
            kept.append(line)
    return kept


def links(page: str) -> list[str]:
    """The targets of links and pictures, those to other sites too."""
    prose = re.sub(r"`[^`]*`", "", "\n".join(outside(page)))
    return [unquote(target) for target in re.findall(r"\]\(([^)\s]+)\)", prose)]


def anchors(page: str) -> set[str]:
    """What `#` may name: the headings, as the site and GitHub spell them."""
    found: set[str] = set()
    for line in outside(page):
        if line.startswith("#"):
            plain = re.sub(r"[^\w\s-]", "", line.lstrip("#")).strip().lower()
            found.add(re.sub(r"[-\s]+", "-", plain))
    return found


def pages(root: Path) -> list[Path]:
    """All of docs/, and what stands beside the code."""
    beside = ["*.md", "benchmarks/*.md", "plugins/*/README.md"]
    return sorted(page for pattern in ("docs/**/*.md", *beside) for page in root.glob(pattern))
