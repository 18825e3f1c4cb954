"""The command answers at once, and imports nothing that it does not need."""

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


@pytest.mark.installed
def test_help_answers_within_200_ms():
    """Processor time, the best of five: what another process takes is not ours to count."""
    command = Path(sys.executable).with_name("inferflow")
    assert command.is_file(), "installed beside this python"

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([command, "--help"], capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.2
