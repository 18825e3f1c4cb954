"""The command answers at once, and imports nothing that it does not need."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

HELP = """
import sys
from inferflow_server.cli import main
sys.argv = ["inferflow", "--help"]
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
print(*sorted(sys.modules), file=sys.stderr)
"""


def test_help_imports_neither_numpy_nor_any_plugin():
    done = subprocess.run(
        [sys.executable, "-c", HELP], capture_output=True, text=True, check=True, timeout=60
    )
    assert "inferflow" in done.stdout
    modules = done.stderr.split()
    heavy = {"numpy", "gguf", "tokenizers", "jinja2", "starlette", "uvicorn", "pydantic", "numba"}
    assert heavy.intersection(modules) == set()
    ours = {name.partition(".")[0] for name in modules if name.startswith("inferflow_")}
    assert ours == {"inferflow_core", "inferflow_server"}


def seconds(*words: str, environment: dict[str, str] | None = None) -> float:
    """Processor time, the best of five: what another process takes is not ours to count."""
    command = Path(sys.executable).with_name("inferflow")
    assert command.is_file(), "installed beside this python"

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [command, *words], capture_output=True, check=True, timeout=60, env=environment
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(5))


@pytest.mark.installed
def test_help_answers_within_200_ms() -> None:
    assert seconds("--help") < 0.2


@pytest.mark.installed
def test_completing_answers_within_250_ms() -> None:
    line = "inferflow run --backend "
    asked = {"COMP_WORDS": line, "COMP_CWORD": "3", "_INFERFLOW_COMPLETE": "bash_complete"}
    assert seconds(environment=os.environ | asked) < 0.25


GROUPS = ("blocks.norm", "samplers", "loaders", "backends", "hooks", "specs")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with a hundred distributions of plugins: most name modules that do not exist,
    one raises when it is imported, and one ends the program."""
    site = tmp_path_factory.mktemp("site")
    (site / "fake_raises.py").write_text("raise RuntimeError('broken on purpose')\n")
    (site / "fake_exits.py").write_text("raise SystemExit(9)\n")
    modules = {0: "fake_raises", 1: "fake_exits"}
    for number in range(100):
        folder = site / f"inferflow_fake_{number}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: inferflow-fake-{number}\nVersion: 1.0\n"
        )
        module = modules.get(number, f"no_such_module_{number}")
        # Hooks are imported by every command on a model; those of the first two are enough.
        groups = [group for group in GROUPS if group != "hooks" or number in modules]
        points = (f"[inferflow.{group}]\nfake{number}.x = {module}:X\n" for group in groups)
        (folder / "entry_points.txt").write_text("\n".join(points))
    return os.environ | {"PYTHONPATH": str(site)}


@pytest.mark.installed
def test_help_answers_within_250_ms_among_a_hundred_plugins(crowded: dict[str, str]) -> None:
    assert seconds("--help", environment=crowded) < 0.25


@pytest.mark.installed
def test_broken_plugins_are_in_nobodys_way(crowded: dict[str, str], tiny: Path) -> None:
    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "from inferflow_server.cli import main; main()", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=crowded)

    checked = run("check", str(tiny / "model.gguf"), "--json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["complete"] is True
    left_out = [line for line in checked.stderr.splitlines() if "are left out" in line]
    assert [line.split("'")[1] for line in left_out] == ["fake0.x", "fake1.x"]
    listed = run("plugins", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    status = {(row["kind"], row["name"]): row["status"] for row in json.loads(listed.stdout)}
    assert status["norm", "rms_norm"] == "ok"
    assert "RuntimeError: broken on purpose" in status["norm", "fake0.x"]
    assert "SystemExit: 9" in status["norm", "fake1.x"]
    assert "no_such_module_7" in status["sampler", "fake7.x"]
    assert run("help").returncode == 0
    assert run("spec", "schema").returncode == 0
    assert "Traceback" not in checked.stderr + listed.stderr
