"""Completion: click's own protocol, as the shells speak it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CALL = [sys.executable, "-c", "from inferflow_server.cli import main; main()"]
MODULES = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
from inferflow_server.cli import main
main()
"""


def complete(line: str, code: str = CALL[-1]) -> subprocess.CompletedProcess[str]:
    """What bash would ask for a line whose last word is being typed."""
    words = line.split(" ")
    asked = {"_INFERFLOW_COMPLETE": "bash_complete", "COMP_WORDS": line}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | asked | {"COMP_CWORD": str(len(words) - 1)},
        timeout=60,
    )


def offered(line: str) -> set[str]:
    done = complete(line)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("inferflow ", {"plain,run", "plain,eval", "plain,completion"}),
        ("inferflow ch", {"plain,check"}),
        ("inferflow eval ", {"plain,logits", "plain,perplexity"}),
        ("inferflow check ", {"file,", "plain,llama", "plain,smollm2-135m-instruct"}),
        ("inferflow check --spec mis", {"file,mis", "plain,mistral"}),
        ("inferflow run ./m", {"file,./m"}),
        ("inferflow run m --backend n", {"plain,numpy"}),
        ("inferflow bench m --set run.max_", {"plain,run.max_sequences=", "plain,run.max_queue="}),
        ("inferflow plugins list --kind samp", {"plain,sampler"}),
        ("inferflow serve --po", {"plain,--port"}),
        ("inferflow eval logits m --out x", {"file,x"}),
        ("inferflow nope x", set()),
    ],
)
def test_what_is_offered(line: str, expected: set[str]) -> None:
    found = offered(line)
    assert expected <= found
    assert all(item.partition(",")[2].startswith(line.rpartition(" ")[2]) for item in found)


def test_a_wrong_file_of_settings_is_not_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong.toml").write_text("[[[")
    monkeypatch.setenv("INFERFLOW_CONFIG", str(tmp_path / "wrong.toml"))
    assert "plain,--port" in offered("inferflow serve --p")


@pytest.mark.parametrize("line", ["inferflow ", "inferflow run ", "inferflow run --backend "])
def test_it_imports_no_plugin(line: str) -> None:
    modules = complete(line, MODULES).stderr.split()
    heavy = {"numpy", "gguf", "tokenizers", "jinja2", "starlette", "uvicorn", "pydantic", "rich"}
    assert "click" in modules
    assert heavy.isdisjoint(modules)
    ours = {name.partition(".")[0] for name in modules if name.startswith("inferflow_")}
    assert ours == {"inferflow_core", "inferflow_server"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(inferflow: Any, shell: str) -> None:
    done = inferflow("completion", shell)
    assert done.code == 0
    assert f"_INFERFLOW_COMPLETE={shell}_complete" in done.out
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=done.out, text=True, check=True, timeout=60)


def test_no_such_shell(inferflow: Any) -> None:
    done = inferflow("completion", "csh")
    assert done.code == 2
    assert "'bash', 'zsh', 'fish'" in done.err
    assert inferflow("completion").code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes(inferflow: Any, tmp_path: Path) -> None:
    program = tmp_path / "inferflow"
    program.write_text(f"#!/bin/sh\nexec '{CALL[0]}' -c '{CALL[2]}' \"$@\"\n")
    program.chmod(0o755)
    script = inferflow("completion", "bash").out + (
        "COMP_WORDS=(inferflow check smollm2); COMP_CWORD=2; compopt() { :; }\n"
        'complete -p inferflow; _inferflow_completion inferflow; echo "${COMPREPLY[@]}"\n'
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PATH": path},
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "smollm2-135m-instruct", done.stderr
