"""A net under all commands: each has help with an example, works, refuses, and reports as JSON.

A command that is new needs a line in CASES. The words run in a folder with `model.gguf`,
`checkpoint/` and `text.txt`; what a command does in detail is tested in a file of its own.
"""

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from inferflow_server.cli.group import walk, words_of
from inferflow_server.cli.main import COMMANDS, cli


@dataclass(frozen=True)
class Case:
    """`works` ends with 0; `refuses` with `code`; with --json, `works` prints JSON."""

    works: str
    refuses: str
    code: int


FAST = "--backend numpy"
CASES = {
    "run": Case(f"model.gguf Hello --max-tokens 3 {FAST}", "model.gguf Hello --top-p 2", 2),
    "serve": Case(f"model.gguf --port 0 {FAST}", "nothing.gguf --port 0", 6),
    "client": Case("Hello", "ftp://somewhere Hello", 2),
    "embed": Case(f"encoder sky sea {FAST}", "encoder sky --output vectors.txt", 2),
    "pull": Case("smollm2-135m-instruct", "smollm2-135m-instrct", 6),
    "ls": Case("", "everything", 2),
    "rm": Case("--all --yes", "hf:owner/nothing --yes", 6),
    "verify": Case("", "hf:owner/nothing", 6),
    "convert": Case("model.gguf new.safetensors --backend cpu", "model.gguf new.gguf", 2),
    "inspect": Case("checkpoint", "nothing.gguf", 6),
    "plan": Case(f"checkpoint {FAST}", "checkpoint --memory much", 2),
    "check": Case("checkpoint", "checkpoint --set model.layer.mixer.heds=3", 3),
    "tokenize": Case("checkpoint Hello", "checkpoint --decode x", 2),
    "bench": Case(f"model.gguf --prompt 4 --gen 3 {FAST}", "model.gguf --batch x", 2),
    "eval logits": Case(
        f"model.gguf --ids 1,2;3 --out out.npz {FAST}", "model.gguf --ids 1,x --out out.npz", 2
    ),
    "eval perplexity": Case(
        f"model.gguf --file text.txt --window 64 --windows 2 {FAST}",
        "model.gguf --file model.gguf",
        2,
    ),
    "plugins list": Case("--kind norm --no-import", "--kind nrom", 2),
    "plugins show": Case("rms_norm", "rms_nrm", 4),
    "plugins new": Case("acme.poly_norm --kind norm", "poly_norm --kind norm", 2),
    "plugins check": Case("inferflow-core", "inferflow-cor", 4),
    "config show": Case("run --spec checkpoint", "rn", 2),
    "doctor": Case("", "everything", 2),
    "completion": Case("bash", "csh", 2),
    "help": Case("api key", "nothing-like-it", 2),
    "spec schema": Case("--out schema.json", "--out no/schema.json", 2),
    "spec upgrade": Case("old.toml", "text.txt", 3),
    "spec init": Case("checkpoint", "text.txt", 5),
    "spec show": Case("checkpoint", "nothing.toml", 3),
}
REPORTS_NOTHING = {"run", "completion", "spec schema"}
"""What these print is not a report: a text, a script."""
UNTIL_STOPPED = {"serve"}
FETCHES = {"pull"}
ASKS_A_SERVER = {"client"}
"""What it says with one: tests/server/test_client.py."""


ALL = {
    " ".join(words_of(context)): context.command
    for context in walk(click.Context(cli, info_name="inferflow"))
}
HERE = [name for name in ALL if name not in UNTIL_STOPPED | FETCHES | ASKS_A_SERVER]


@pytest.fixture(autouse=True)
def folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    (tmp_path / "old.toml").write_text('extends = "llama"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFERFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path


def test_every_command_has_a_case() -> None:
    assert cli.list_commands(click.Context(cli)) == list(COMMANDS)
    assert set(CASES) == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_help_explains(inferflow: Any, name: str) -> None:
    done = inferflow(*name.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert re.search(rf"Examples?:\n +.*\binferflow {name}\b", done.out), "an example"
    for parameter in ALL[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", ALL)
def test_bad_input_is_refused(inferflow: Any, name: str) -> None:
    case = CASES[name]
    done = inferflow(*name.split(), *shlex.split(case.refuses))
    assert (done.code, done.out) == (case.code, "")
    assert done.err.startswith("Error: ")
    assert "defect" not in done.err
    assert "Traceback" not in done.err
    done = inferflow(*name.split(), "--no-such-option")
    assert done.code == 2
    assert "--no-such-option" in done.err


@pytest.mark.parametrize("name", HERE)
def test_it_works(inferflow: Any, name: str) -> None:
    done = inferflow(*name.split(), *shlex.split(CASES[name].works))
    assert done.code == 0, done.err
    assert "Error: " not in done.err


@pytest.mark.parametrize("name", [each for each in HERE if each not in REPORTS_NOTHING])
def test_it_reports_as_json(inferflow: Any, name: str) -> None:
    done = inferflow(*name.split(), *shlex.split(CASES[name].works), "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FETCHES))
def test_it_fetches(inferflow: Any, name: str) -> None:
    done = inferflow(*name.split(), *shlex.split(CASES[name].works), "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(UNTIL_STOPPED))
def test_it_works_until_it_is_stopped(name: str) -> None:
    call = "from inferflow_server.cli import main; main()"
    words = [*name.split(), *shlex.split(CASES[name].works), "--json"]
    with subprocess.Popen([sys.executable, "-c", call, *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


ERROR = [["check", "nothing.gguf"]]
BAR = [["eval", "perplexity", *shlex.split(CASES["eval perplexity"].works)]]
ALL_OF_THEM = """
import json, sys
from inferflow_server.cli.main import run
for words in json.loads(sys.argv[1]):
    run(words)
"""


def on_a_terminal(commands: list[list[str]], **variables: str) -> str:
    """What commands, one after the other in one process, write to a terminal."""
    import pty

    plain = {name: os.environ[name] for name in os.environ if "COLOR" not in name}
    leader, follower = pty.openpty()
    words = [sys.executable, "-c", ALL_OF_THEM, json.dumps(commands)]
    environment = plain | {"TERM": "xterm-256color"} | variables
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    written = b""
    try:
        while piece := os.read(leader, 1 << 16):
            written += piece
    except OSError:  # how Linux says that the other side is closed
        pass
    finally:
        os.close(leader)
    assert process.wait(60) == 0
    return written.decode("utf-8", "replace")


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
class TestEscapeCodes:
    """Colours and moving bars are for terminals that have them, and for people who want them."""

    def test_a_terminal_gets_them(self) -> None:
        assert "\x1b[31m" in on_a_terminal(ERROR)
        assert "\x1b[" in on_a_terminal(BAR)

    def test_no_command_writes_any_where_colours_are_unwanted(self) -> None:
        commands = [[*name.split(), "--help"] for name in ALL]
        for name in HERE:
            commands.append([*name.split(), *shlex.split(CASES[name].works)])
            commands.append([*name.split(), *shlex.split(CASES[name].refuses)])
        written = on_a_terminal(commands, NO_COLOR="1")
        assert written.count("Error: ") == len(HERE)
        assert "\x1b" not in written

    def test_a_dumb_terminal_gets_none(self) -> None:
        written = on_a_terminal(ERROR + BAR, TERM="dumb")
        assert "Error: " in written
        assert "\x1b" not in written

    @pytest.mark.parametrize("name", ["FORCE_COLOR", "CLICOLOR_FORCE"])
    def test_a_pipe_gets_them_if_asked(
        self, inferflow: Any, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        for variable in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(variable, raising=False)
        assert "\x1b" not in inferflow("check", "nothing.gguf").err
        monkeypatch.setenv(name, "1")
        assert "\x1b[31m" in inferflow("check", "nothing.gguf").err
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b" not in inferflow("check", "nothing.gguf").err
