"""`inferflow spec upgrade`: adds a missing version and changes nothing else."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

REST = 'extends = "llama"  # the family\n\n[run]\ncontext = 64\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def test_a_file_that_is_new_stays(inferflow: Any, file: Path) -> None:
    file.write_text(f"# mine\nspec = 1\n{REST}")
    done = inferflow("spec", "upgrade", str(file))
    assert (done.code, done.out) == (0, file.read_text())
    assert done.err == f"{file}: already at version 1\n"
    before = file.stat()
    assert inferflow("spec", "upgrade", str(file), "--write").out == ""
    assert file.stat().st_ino == before.st_ino, "it is not even written"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (REST, f"spec = 1\n{REST}"),
        (f"#:schema ./x.json\n# mine\n\n{REST}", f"#:schema ./x.json\n# mine\n\nspec = 1\n{REST}"),
        (REST.replace("\n", "\r\n"), f"spec = 1\n{REST}".replace("\n", "\r\n")),
    ],
)
def test_a_missing_version_is_added(inferflow: Any, file: Path, before: str, after: str) -> None:
    file.write_bytes(before.encode())
    report = json.loads(inferflow("spec", "upgrade", str(file), "--json").out)
    assert report == {"file": str(file), "version": 1, "changed": True, "text": after}
    assert file.read_bytes() == before.encode()
    done = inferflow("spec", "upgrade", str(file), "--write")
    assert (done.code, done.out) == (0, "")
    assert file.read_bytes() == after.encode()
    assert tomllib.loads(after) == {"spec": 1} | tomllib.loads(before)
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    assert inferflow("check", str(file)).code == 0


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        (f"spec = 2\n{REST}", 3, "pip install --upgrade inferflow-core"),
        (f"spec = 0\n{REST}", 3, "reads version 1"),
        (f"spec = true\n{REST}", 3, "reads version 1"),
        (f'spec = "1"\n{REST}', 3, "reads version 1"),
        (f"{REST}contxt = 3\n", 3, "Did you mean 'context'?"),
        ("# nothing but a comment", 3, "[model]"),
        ("not toml", 3, "toml"),
        ("a = '" + "x" * 200_000, 3, "longer than"),
    ],
)
def test_what_it_does_not_mend(inferflow: Any, file: Path, text: str, code: int, word: str) -> None:
    file.write_text(text)
    done = inferflow("spec", "upgrade", str(file), "--write")
    assert (done.code, done.out) == (code, "")
    assert word in done.err
    assert file.read_text() == text


def test_what_cannot_be_read(inferflow: Any, file: Path) -> None:
    assert inferflow("spec", "upgrade", str(file)).code == 2
    file.write_bytes(b"\xff")
    assert inferflow("spec", "upgrade", str(file)).code == 2
