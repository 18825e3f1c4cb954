"""The root command: help, versions, errors, exit codes."""

import importlib
import json
import subprocess
import sys
from typing import Any

import click
import pytest
from inferflow_server.cli import plugin_commands as plugin_commands_module
from inferflow_server.cli.group import Command, Subgroup
from inferflow_server.cli.main import COMMANDS

from inferflow_core.errors import BrokenEntry, EngineError, Problem, SpecError, UsageError
from inferflow_core.version import __version__


def leaves() -> list[tuple[str, Command]]:
    found: list[tuple[str, Command]] = []
    for name, entry in COMMANDS.items():
        if isinstance(entry, Subgroup):
            found += [(f"{name} {inner}", each) for inner, each in entry.commands.items()]
        else:
            found.append((name, entry))
    return found


@pytest.mark.parametrize(("name", "entry"), leaves(), ids=lambda each: str(each)[:20])
def test_every_command_is_as_the_table_says(inferflow: Any, name: str, entry: Command) -> None:
    command = importlib.import_module(entry.module).command
    assert command.name == name.split()[-1]
    assert {"--debug", "--help"} <= {
        option for each in command.get_params(click.Context(command)) for option in each.opts
    }
    done = inferflow(*name.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert "--debug" in done.out


ON_A_MODEL = ["run", "serve", "pull", "inspect", "plan", "check", "tokenize", "bench"]
ON_A_MODEL += ["eval logits", "eval perplexity", "spec show"]


@pytest.mark.parametrize("name", ON_A_MODEL)
def test_every_command_on_a_model_takes_the_same(inferflow: Any, name: str) -> None:
    text = inferflow(*name.split(), "--help").out
    for option in ("[MODEL]", "--spec", "--backend", "--set", "--offline"):
        assert option in text
    assert ("--json" in text) == (name != "run")


def test_version(inferflow: Any) -> None:
    assert inferflow("--version").out == f"inferflow {__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("plugins",), ("eval",)])
def test_a_group_alone_prints_help_and_fails(inferflow: Any, arguments: tuple[str, ...]) -> None:
    done = inferflow(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: ")


def test_an_unknown_command(inferflow: Any) -> None:
    done = inferflow("srve")
    assert done.code == 2
    assert done.err == "Error: no command 'srve'. Did you mean 'serve'?\nHint: inferflow --help\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (SpecError("x", [Problem("a", "b")]), 3),
        (BrokenEntry("x"), 4),
        (EngineError("x", hint="try y"), 7),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_errors_have_no_traceback(
    inferflow: Any, model: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("inferflow_core.load", fails, raising=False)
    done = inferflow("run", "m.gguf", "hi")
    assert done.code == code
    assert done.out == ""
    assert done.err.startswith("Error: ")
    assert "Traceback" not in done.err
    assert ("Hint: try y" in done.err) == (code == 7)
    with pytest.raises(type(error)):
        inferflow("run", "m.gguf", "hi", "--debug")


def test_no_color_and_no_escape_codes_in_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from inferflow_server.cli import main; main(['nope'])"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


class TestPluginCommands:
    """Commands of installed plugins."""

    @pytest.fixture
    def answers(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, click.Command]]:
        answers: list[dict[str, click.Command]] = []

        class Hooks:
            def call(self, hook: str) -> list[dict[str, click.Command]]:
                assert hook == "inferflow_cli_commands"
                return answers

        monkeypatch.setattr(plugin_commands_module, "registered", lambda: (None, Hooks()))
        return answers

    @staticmethod
    def saying(text: str) -> click.Command:
        return click.Command("x", callback=lambda: click.echo(text))

    def test_they_are_found(self, inferflow: Any, answers: Any) -> None:
        answers.append({"mine": self.saying("hello from a plugin")})
        assert inferflow("mine").out == "hello from a plugin\n"

    def test_ours_stay_ours(self, inferflow: Any, answers: Any) -> None:
        answers.append({"plugins": self.saying("mine now")})
        assert "mine now" not in inferflow("plugins", "list").out

    def test_two_of_one_name_are_neither(self, inferflow: Any, answers: Any) -> None:
        answers += [{"mine": self.saying("a")}, {"mine": self.saying("b")}]
        done = inferflow("mine")
        assert done.code == 2
        assert "claimed by two plugins" in done.err


def test_plugins_list(inferflow: Any) -> None:
    listed = json.loads(inferflow("plugins", "list", "--kind", "sampler", "--json").out)
    assert {"kind", "name", "distribution", "version", "status"} == set(listed[0])
    assert "temperature" in [entry["name"] for entry in listed]
    text = inferflow("plugins", "list").out.splitlines()
    assert text[0].split() == ["KIND", "NAME", "DISTRIBUTION", "VERSION", "STATUS"]
    assert any(line.split()[:2] == ["norm", "rms_norm"] for line in text)


def test_plugins_show(inferflow: Any) -> None:
    shown = json.loads(inferflow("plugins", "show", "rms_norm", "--json").out)
    assert shown[0]["distribution"] == "inferflow-core"
    fields = {field["name"]: field for field in shown[0]["fields"]}
    assert fields["eps"]["default"] == "1e-05"
    assert fields["eps"]["meaning"] == "Added to the mean square."
    assert "rms_norm.py:" in inferflow("plugins", "show", "rms_norm").out
    both = inferflow("plugins", "show", "gguf").out
    assert "loader gguf" in both
    assert "names gguf" in both
    assert "names gguf" not in inferflow("plugins", "show", "gguf", "--kind", "loader").out


def test_plugins_show_of_nothing(inferflow: Any) -> None:
    done = inferflow("plugins", "show", "rms_nrm")
    assert done.code == 4
    assert "Did you mean 'rms_norm'?" in done.err
