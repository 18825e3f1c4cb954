"""`plugins new`: a package for each kind that passes its own tests, written whole or not at all."""

import io
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from inferflow_server.cli.scaffold import KINDS, Package, bound

from inferflow_core.catalog import GROUPS


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_writes_a_package(inferflow: Any, kind: str) -> None:
    done = inferflow("plugins", "new", "acme.poly_x", "--kind", kind)
    assert (done.code, done.out) == (0, "inferflow-plugin-acme-poly-x\n")
    assert "pip install" in done.err
    folder = Path("inferflow-plugin-acme-poly-x")
    assert [path.name for path in Path().iterdir()] == [folder.name]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"].keys() == {GROUPS[kind]}
    ((entry, value),) = project["entry-points"][GROUPS[kind]].items()
    assert entry == "acme.poly_x"
    module, _, name = value.partition(":")
    text = (folder / (module.replace(".", "/") + ".py")).read_text()
    assert f"class {name}" in text or f"{name} = Op(" in text
    assert ("numpy>=1.26" in project["dependencies"]) == ("import numpy" in text)
    for file in folder.rglob("*"):
        assert "$" not in (file.read_text() if file.suffix == ".py" else "")
        if file.suffix == ".py":
            compile(file.read_text(), file, "exec")
    assert {"README.md", "LICENSE", ".gitignore", "tests"} < {p.name for p in folder.iterdir()}
    assert (folder / "inferflow_plugin_acme_poly_x" / "py.typed").is_file()


def test_json_and_a_folder_of_ones_choice(inferflow: Any, tmp_path: Path) -> None:
    done = inferflow("plugins", "new", "acme.x", "--kind", "op", "--out", "mine", "--json")
    report = json.loads(done.out)
    assert done.err == ""
    assert (report["name"], report["kind"]) == ("acme.x", "op")
    assert report["distribution"] == "inferflow-plugin-acme-x"
    assert report["package"] == "inferflow_plugin_acme_x"
    assert report["folder"] == str(tmp_path / "mine")
    found = {p.relative_to("mine").as_posix() for p in Path("mine").rglob("*") if p.is_file()}
    assert set(report["files"]) == found


BAD_NAMES = ["", "poly", ".x", "acme.", "acme.x.y", "Acme.x", "acme.Poly", "acme.poly-norm"]
BAD_NAMES += ["acme.1x", "acme.lambda", "class.x", "acme._x", "acme.x__y", "acme.../x", "acme.x y"]
BAD_NAMES += ["inferflow.x", "acme.ü", "a" * 41 + ".x"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_refuses_names(inferflow: Any, name: str) -> None:
    done = inferflow("plugins", "new", "--kind", "norm", "--", name)
    assert (done.code, done.out) == (2, "")
    assert "Hint: " in done.err or "inferflow" in name
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    "arguments", [("acme.x",), ("acme.x", "--kind", "nrm"), ("--kind", "norm")]
)
def test_refuses_to_be_called_wrongly(inferflow: Any, arguments: tuple[str, ...]) -> None:
    assert inferflow("plugins", "new", *arguments).code == 2
    assert not list(Path().iterdir())


def test_a_prefix_is_asked_for(inferflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("acme\n"))
    monkeypatch.setattr("sys.stderr", Terminal())
    assert inferflow("plugins", "new", "poly", "--kind", "norm").out.endswith("acme-poly\n")


def test_refuses_what_is_there(inferflow: Any) -> None:
    Path("mine").mkdir()
    done = inferflow("plugins", "new", "acme.x", "--kind", "norm", "--out", "mine")
    assert done.code == 2
    assert "mine is there already" in done.err
    assert not list(Path("mine").iterdir())
    done = inferflow("plugins", "new", "acme.x", "--kind", "norm", "--out", "no/where")
    assert done.code == 2
    assert "cannot write into" in done.err


def test_refuses_a_name_that_is_taken(inferflow: Any) -> None:
    done = inferflow("plugins", "new", "example.scaled_norm", "--kind", "norm")
    assert done.code == 2
    assert "inferflow-plugin-example provides it" in done.err


def test_whole_or_not_at_all(inferflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def fails(path: Path, *arguments: Any) -> int:
        if path.name == "LICENSE":
            raise OSError(28, "No space left on device")
        return write(path, *arguments)

    monkeypatch.setattr(Path, "write_text", fails)
    done = inferflow("plugins", "new", "acme.x", "--kind", "norm")
    assert done.code == 2
    assert "No space left" in done.err
    assert not list(Path().iterdir())


def test_the_bound_follows_from_the_version() -> None:
    assert bound("0.1.0") == ">=0.1,<0.2"
    assert bound("0.12.3") == ">=0.12,<0.13"
    assert bound("1.4.0rc1") == ">=1.4,<2"


def test_the_class_hides_no_import() -> None:
    titles = {
        (m, k): Package("acme", m, k).title for m in ("norm", "poly_norm", "x2") for k in KINDS
    }
    assert titles["norm", "norm"] == "AcmeNorm"
    assert titles["poly_norm", "norm"] == "PolyNorm"
    assert titles["x2", "loader"] == "X2Loader"


@pytest.mark.slow
@pytest.mark.installed
def test_every_kind_passes_its_own_tests_and_the_check(
    inferflow: Any, installs: Any, tmp_path: Path
) -> None:
    """Without pip; .ci/wheel does it by plain pip, from the wheel."""
    for kind in KINDS:
        assert (
            inferflow("plugins", "new", f"acme.my_{kind}", "--kind", kind, "--out", kind).code == 0
        )
        installs(tmp_path / kind)
    folders = [str(tmp_path / kind) for kind in KINDS]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}

    def output(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    report = output(*tests, *(f"{folder}/tests" for folder in folders))
    assert " passed" in report
    assert "skipped" not in report
    check = "from inferflow_server.cli import main; main(['plugins', 'check', 'acme', '--json'])"
    found = json.loads(output("-c", check))
    assert {(each["kind"], each["level"]) for each in found if each["kind"]} == {
        (kind, "ok") for kind in KINDS
    }
