"""Settings: the file, the variables, their order, and `config show`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from inferflow_server.cli.config_file import MAX_BYTES, config_path
from inferflow_server.cli.group import walk, words_of
from inferflow_server.cli.main import cli
from inferflow_server.cli.settings import OTHER_VARIABLES, SHARED, is_secret, settings_of


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """write(text): the file of settings."""

    def write(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(text, "utf-8")
        monkeypatch.setenv("INFERFLOW_CONFIG", str(path))
        return path

    return write


def shown(inferflow: Any, *arguments: str) -> dict[str, dict[str, Any]]:
    report = json.loads(inferflow("config", "show", "--json", *arguments).out)
    return {row["name"]: row for row in report["settings"]}


class TestOrder:
    """Command line, own variable, shared variable, own table, top of the file, default."""

    def test_each_goes_before_the_next(
        self, inferflow: Any, model: Any, write: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def backend(*arguments: str) -> str | None:
            assert inferflow("run", "m", "hi", *arguments).code == 0
            return model.opened_with[1]["backend"]

        assert backend() is None
        write('backend = "top"')
        assert backend() == "top"
        write('backend = "top"\n[run]\nbackend = "table"')
        assert backend() == "table"
        monkeypatch.setenv("INFERFLOW_BACKEND", "shared")
        assert backend() == "shared"
        monkeypatch.setenv("INFERFLOW_RUN_BACKEND", "own")
        assert backend() == "own"
        assert backend("--backend", "typed") == "typed"
        monkeypatch.setenv("INFERFLOW_RUN_BACKEND", "")
        assert backend() == "shared"

    def test_a_table_is_for_its_command_alone(self, inferflow: Any, model: Any, write: Any) -> None:
        write('[bench]\nbackend = "b"\nprompt = 8\ngen = 4\n')
        inferflow("run", "m", "hi")
        assert model.opened_with[1]["backend"] is None
        done = inferflow("bench", "m", "--json")
        assert model.opened_with[1]["backend"] == "b"
        assert json.loads(done.out)["results"][0]["prompt"] == 8

    def test_names_are_what_is_typed(
        self, inferflow: Any, model: Any, write: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write('set = ["run.threads=1"]\n[run]\nmax-tokens = 7\nstop = ["a b", "c"]\n')
        inferflow("run", "m", "hi")
        (request,) = model.engine.requests
        assert (request.max_tokens, request.stop) == (7, ("a b", "c"))
        assert model.opened_with[1]["set"] == ("run.threads=1",)
        monkeypatch.setenv("INFERFLOW_RUN_MAX_TOKENS", "3")
        monkeypatch.setenv("INFERFLOW_RUN_SET", "run.threads=2 run.context=64")
        inferflow("run", "m", "hi")
        assert model.engine.requests[-1].max_tokens == 3
        assert model.opened_with[1]["set"] == ("run.threads=2", "run.context=64")

    def test_a_model_may_be_set_and_the_one_that_is_typed_counts(
        self, inferflow: Any, model: Any, write: Any
    ) -> None:
        write('[run]\nspec = "usual"\n[bench]\nspec = "usual"\ngen = 4\nprompt = 4\n')
        inferflow("run", "other", "hi")
        assert model.opened_with[0] == "other"
        inferflow("run", "--spec", "third", "hi")
        assert model.opened_with[0] == "third"
        inferflow("bench")
        assert model.opened_with[0] == "usual"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ofline = true", ["ofline", "Did you mean 'offline'?", "backend, set, offline, yes"]),
        ("[srve]\nport = 1", ["srve", "Did you mean 'serve'?"]),
        ("[run]\nmax-token = 1", ["run.max-token", "Did you mean 'max-tokens'?"]),
        ("[run]\nmax_tokens = 1", ["run.max_tokens", "Did you mean 'max-tokens'?"]),
        ("[run]\ndebug = true", ["run.debug"]),
        ("[eval]\nids = '1'", ["eval.ids", "[eval.logits]"]),
        ("[config.show]\njson = true", ["config", "no command with settings"]),
        ("[run]\nmax-tokens = 'many'", ["run.max-tokens", "'many' is not a valid integer"]),
        ("[run]\nmax-tokens = 0", ["run.max-tokens", "x>=1"]),
        ("[run]\nmax-tokens = 1.5", ["run.max-tokens", "'1.5'"]),
        ("[run]\nmax-tokens = true", ["run.max-tokens", "a text or a number"]),
        ("[run]\nraw = 'yes'", ["run.raw", "true or false"]),
        ("[run]\nstop = 'x'", ["run.stop", "a list"]),
        ("set = [1979-05-27]", ["set", "a text or a number"]),
        ("offline = true\noffline = false", ["overwrite"]),
        ("a" * (MAX_BYTES + 1), ["longer than"]),
        (".".join("a" * 300) + " = 1", ["line 1", "dots"]),
        ("x = " + "[" * 5000, ["nested too deep"]),
    ],
)
def test_a_wrong_file_is_one_error_that_says_where(
    inferflow: Any, model: Any, write: Any, text: str, words: list[str]
) -> None:
    path = write(text)
    done = inferflow("run", "m", "hi")
    assert (done.code, done.out) == (2, "")
    assert str(path) in done.err
    assert all(word in done.err for word in words), done.err
    assert not model.opened_with
    assert inferflow("--help").code == 0
    assert inferflow("run", "--help").code == 0
    report = inferflow("config", "show", "--json")
    assert report.code == 8
    assert json.loads(report.out)["problems"]


def test_all_problems_at_once(inferflow: Any, model: Any, write: Any) -> None:
    write("bakend = 1\n[rn]\nx = 1\n[run]\nseed = 'x'\n[serve]\nport = 'x'\n")
    err = inferflow("run", "m", "hi").err
    assert all(f"\n  {at}: " in err for at in ("bakend", "rn", "run.seed"))
    assert "serve.port" not in err, "a table of another command is looked into when that runs"
    assert "\n  serve.port: " in inferflow("config", "show").err


def test_files_that_cannot_be_read(
    inferflow: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in (("nothing", None), ("folder", ""), ("bytes", b"\xff = 1")):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            path.mkdir()
        monkeypatch.setenv("INFERFLOW_CONFIG", str(path))
        done = inferflow("run", "m", "hi")
        assert (done.code, str(path) in done.err) == (2, True)
    monkeypatch.delenv("INFERFLOW_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "none"))
    assert inferflow("run", "m", "hi").code == 0, "no file is no error"


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_CONFIG_HOME": "/x"}, "/x/inferflow/config.toml"),
        ("linux", {"HOME": "/h"}, "/h/.config/inferflow/config.toml"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Application Support/inferflow/config.toml"),
        ("win32", {"APPDATA": "/a"}, "/a/inferflow/config.toml"),
        ("win32", {"APPDATA": "/a", "INFERFLOW_CONFIG": "/own"}, "/own"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="compares paths as POSIX writes them")
def test_where_the_file_is(
    inferflow: Any,
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    environment: dict[str, str],
    expected: str,
) -> None:
    for name in ("INFERFLOW_CONFIG", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert str(config_path()) == expected
    assert inferflow("config", "show", "--path").out == f"{expected}\n"


def test_a_wrong_variable_is_named(
    inferflow: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERFLOW_RUN_SEED", "one")
    done = inferflow("run", "m", "hi")
    assert done.code == 2
    assert done.err.endswith("Hint: the value is from the variable INFERFLOW_RUN_SEED\n")


def test_debug_by_variable(inferflow: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferflow_core.load", lambda *_, **__: 1 / 0, raising=False)
    for off in ("", "0", "false"):
        monkeypatch.setenv("INFERFLOW_DEBUG", off)
        assert inferflow("run", "m", "hi").code == 1
    monkeypatch.setenv("INFERFLOW_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        inferflow("run", "m", "hi")


class TestShow:
    """`inferflow config show`."""

    def test_values_and_where_they_come_from(
        self, inferflow: Any, write: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write('offline = true\n[serve]\nport = 81\napi-key = "x"\n[run]\noffline = false\n')
        monkeypatch.setenv("INFERFLOW_SERVE_HOST", "::1")
        monkeypatch.setenv("INFERFLOW_RUN_BACKEND", "numpy")
        rows = shown(inferflow)
        file = {"source": "file", "from": str(path)}
        default = {"source": "default", "from": None}
        variable = {"source": "environment", "from": "INFERFLOW_SERVE_HOST"}
        for name, expected in {
            "offline": {"value": True, **file},
            "run.offline": {"value": False, **file},
            "backend": {"value": None, **default},
            "run.backend": {
                "value": "numpy",
                "source": "environment",
                "from": "INFERFLOW_RUN_BACKEND",
            },
            "serve.port": {"value": 81, **file},
            "serve.host": {"value": "::1", **variable},
            "serve.drain": {"value": 30.0, **default},
            "eval.logits.ids": {"value": None, **default},
            "run.stop": {"value": [], **default},
        }.items():
            assert expected.items() <= rows[name].items()
        assert "serve.offline" not in rows, "shared settings stand once, at the top"
        assert shown(inferflow, "serve")["serve.offline"]["value"] is True
        assert {name.split(".")[0] for name in shown(inferflow, "serve")} == {"serve"}

    def test_text(self, inferflow: Any, write: Any) -> None:
        path = write("[serve]\nport = 81\n")
        done = inferflow("config", "show", "serve")
        lines = [line.split() for line in done.out.splitlines()]
        assert ["serve.port", "81", str(path)] in lines
        assert ["serve.host", "127.0.0.1", "default"] in lines
        assert str(path) in done.err

    def test_secrets_are_not_shown(
        self, inferflow: Any, write: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write('[serve]\napi-key = "squeamish"\n')
        monkeypatch.setenv("INFERFLOW_API_KEY", "ossifrage")
        for arguments in ([], ["--json"], ["serve"]):
            done = inferflow("config", "show", *arguments)
            assert "(hidden)" in done.out
            assert "squeamish" not in done.out + done.err
            assert "ossifrage" not in done.out + done.err
        assert not is_secret("max-tokens")

    def test_the_run_table_of_a_model(self, inferflow: Any, write: Any, shared: Path) -> None:
        path = write('set = ["run.threads=1"]\n')
        stories = str(shared / "data" / "stories260K" / "stories260K.bin")
        report = json.loads(inferflow("config", "show", "--spec", stories, "--json").out)
        rows = {row["name"]: row for row in report["run"]}
        assert rows["run.threads"] == {
            "name": "run.threads",
            "value": 1,
            "source": "file",
            "from": str(path),
        }
        assert rows["run.page_tokens"]["source"] == "default"
        spec = path.with_name("mine.toml")
        spec.write_text(
            f'spec = 1\nextends = "llama"\nname = "mine"\n[weights]\npath = "{stories}"\n'
            "[run]\nmax_sequences = 3\n"
        )
        out = inferflow("config", "show", "--spec", str(spec)).out
        assert re.search(rf"^run\.max_sequences +3 +{re.escape(str(spec))}$", out, re.MULTILINE)
        assert re.search(rf"^run\.threads +1 +{re.escape(str(path))}$", out, re.MULTILINE)

    def test_bad_input(self, inferflow: Any) -> None:
        assert "Did you mean 'serve'?" in inferflow("config", "show", "srve").err
        assert inferflow("config", "show", "srve").code == 2
        done = inferflow("config", "show", "--spec", "llama")
        assert (done.code, "inferflow pull llama" in done.err) == (2, True)
        assert inferflow("config", "show", "--help").out.startswith("Usage: ")


def test_every_variable_is_as_the_page_says(checkout_docs: Path) -> None:
    """The rule gives one variable for each option; the page's table has the others, and no more."""
    text = (checkout_docs / "configuration.md").read_text("utf-8")
    page = set(re.findall(r"^\| `(INFERFLOW_\w+)` \|", text, re.MULTILINE))
    others: set[str] = set(OTHER_VARIABLES)
    keys = set()
    for context in walk(click.Context(cli, info_name="inferflow")):
        words = words_of(context)
        for key, option in settings_of(context.command).items():
            rule = "_".join(["INFERFLOW", *words, key]).upper().replace("-", "_")
            if option.envvar is None:
                continue
            assert option.envvar[0] == rule
            others |= set(option.envvar[1:])
            keys.add(key)
    assert others == page
    assert set(SHARED) <= keys
    assert {f"INFERFLOW_{key.upper()}" for key in SHARED} <= page


@pytest.fixture
def checkout_docs() -> Path:
    docs = Path(__file__).resolve().parents[2] / "docs"
    if not docs.is_dir():
        pytest.skip("reads a page of the checkout; these tests were copied out of it")
    return docs


def test_a_variable_for_builds_is_not_taken_for_an_option() -> None:
    """`INFERFLOW_VERSION` and its like are common in images; they must not stop the command."""
    code = "from inferflow_server.cli import main; main(['plugins', 'list', '--kind', 'engine'])"
    environment = {**os.environ, "INFERFLOW_VERSION": "0.1.0", "INFERFLOW_HELP": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "continuous" in done.stdout
