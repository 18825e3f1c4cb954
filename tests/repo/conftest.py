"""The laws of the repository need its files, which an installed wheel does not have."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = {
    "inferflow_core": "inferflow_core",
    **{f"inferflow_{name}": f"{name}/inferflow_{name}" for name in ("blocks", "loaders", "quant")},
    **{f"inferflow_{name}": f"{name}/inferflow_{name}" for name in ("samplers", "server", "specs")},
    **{
        f"inferflow_{name}": f"plugins/inferflow_{name}"
        for name in ("backends", "runtime", "sources", "tokenizers")
    },
}
"""Our packages and their folders."""


@pytest.fixture(scope="session")
def checkout() -> Path:
    root = Path(__file__).resolve().parents[2]
    if not (root / "inferflow_core").is_dir():
        pytest.skip("looks at the files of a checkout; these tests were copied out of it")
    return root


@pytest.fixture(scope="session")
def imported(checkout: Path):
    """imported(package): (file, top-level package imported) for each import in it, those inside
    functions too, those for type checkers not."""

    def imported(package: str) -> Iterator[tuple[str, str]]:
        folder = checkout / PACKAGES[package]
        files = sorted(folder.rglob("*.py"))
        assert files, folder
        for file in files:
            for name in _imports(ast.parse(file.read_text("utf-8"))):
                yield file.relative_to(checkout).as_posix(), name.partition(".")[0]

    return imported


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield child.module or ""
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from _imports(other)
        else:
            yield from _imports(child)
