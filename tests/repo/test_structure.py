"""docs/structure.md is a tour of every folder, and of no folder that is gone."""

import re
from pathlib import Path

HIDDEN = {"__pycache__", "dist", "build", "node_modules"}


def folders(root: Path) -> set[str]:
    found = set()
    for path in root.iterdir():
        if path.is_dir() and not path.name.startswith(".") and path.name not in HIDDEN:
            found |= {path, *path.rglob("*")}
    return {
        path.relative_to(root).as_posix() + "/"
        for path in found
        if path.is_dir()
        and not HIDDEN & set(path.relative_to(root).parts)
        and any(child.is_file() and not child.name.startswith(".") for child in path.iterdir())
    }


def test_the_tour_lists_every_folder_once(checkout):
    text = (checkout / "docs" / "structure.md").read_text("utf-8")
    listed = re.findall(r"^\| `([^`]+/)` \|", text, re.MULTILINE)
    assert len(listed) == len(set(listed))
    there = folders(checkout)
    assert set(listed) - there == set(), "listed, but gone"
    parents = {parent for name in listed for parent in (name, name.partition("/")[0] + "/")}
    assert {name for name in there if name not in parents} == set(), "not listed"


def test_every_decision_of_the_tour_is_there(checkout):
    records = sorted(path.name for path in (checkout / "docs" / "adr").glob("*.md"))
    numbers = [int(name[:4]) for name in records]
    assert numbers == list(range(1, len(records) + 1))
    for name in records:
        text = (checkout / "docs" / "adr" / name).read_text("utf-8")
        assert text.startswith(f"# {name[:4]} "), name
        for section in ("## Context", "## Decision", "## Cost"):
            assert section in text, f"{name}: {section}"
