"""docs/structure.md is a tour of every folder, and of no folder that is gone."""

import re
from pathlib import Path

HIDDEN = {"__pycache__", "dist", "build", "node_modules"}


def folders(root: Path) -> set[str]:
    """Folders with files in them; those below tests/ and docs/ are left to their parents."""
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    parents = (file.parts[:-1] for file in files)
    return {
        "/".join(parts) + "/"
        for parts in parents
        if parts and not any(part in HIDDEN or part.startswith(".") for part in parts)
        if parts[0] not in ("tests", "docs") or len(parts) == 1
    }


def test_the_tour_lists_every_folder_once(checkout):
    text = (checkout / "docs" / "structure.md").read_text("utf-8")
    listed = re.findall(r"^\| `([^`]+/)` \|", text, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert [name for name in listed if not (checkout / name).is_dir()] == [], "gone"
    there = folders(checkout)
    for inside in ("plugins/inferflow-plugin-example/", "server/inferflow_server/cli/template/"):
        there = {inside if name.startswith(inside) else name for name in there}
    assert there - set(listed) == set(), "not listed"


def test_every_decision_of_the_tour_is_there(checkout):
    records = sorted(path.name for path in (checkout / "docs" / "adr").glob("[0-9]*.md"))
    numbers = [int(name[:4]) for name in records]
    assert numbers == list(range(1, len(records) + 1))
    index = (checkout / "docs" / "adr" / "index.md").read_text("utf-8")
    for name in records:
        assert f"]({name})" in index, name
        text = (checkout / "docs" / "adr" / name).read_text("utf-8")
        assert text.startswith(f"# {name[:4]} "), name
        for section in ("## Context", "## Decision", "## Cost"):
            assert section in text, f"{name}: {section}"
