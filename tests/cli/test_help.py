"""`inferflow help`: the tree, and the search."""

import json
import re
from typing import Any

import click
import pytest
from inferflow_server.cli import help as help_module
from inferflow_server.cli.main import COMMANDS


def found(inferflow: Any, *words: str) -> list[tuple[str, str | None]]:
    report = json.loads(inferflow("help", *words, "--json").out)
    return [(row["command"], row["option"]) for row in report]


def test_without_words_every_command(inferflow: Any) -> None:
    done = inferflow("help")
    assert done.code == 0
    assert {line.split()[1] for line in done.out.splitlines()} == set(COMMANDS)
    assert "inferflow eval perplexity" in done.out
    assert all(option is None for _, option in found(inferflow))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["api", "key"], ("inferflow serve", "--api-key")),
        (["PORT"], ("inferflow serve", "--port")),
        (["serve", "listen"], ("inferflow serve", "--host")),
        (["disjoint"], ("inferflow eval perplexity", None)),
        (["eval", "logits"], ("inferflow eval logits", None)),
    ],
)
def test_all_words_are_found(
    inferflow: Any, words: list[str], expected: tuple[str, str | None]
) -> None:
    assert expected in found(inferflow, *words)
    assert inferflow("help", *words, "zebra").code == 2


def test_a_line_is_what_one_types(inferflow: Any) -> None:
    done = inferflow("help", "--", "--api-key")
    assert re.search("inferflow serve --api-key TEXT +Asked for on every route", done.out)
    assert "--yes  Fetch without" in inferflow("help", "yes").out
    assert "tells more" in done.err


def test_nothing_is_found(inferflow: Any) -> None:
    done = inferflow("help", "portt")
    assert (done.code, done.out) == (2, "")
    assert (
        done.err == "Error: nothing matches 'portt'. Did you mean 'port'?\nHint: inferflow help\n"
    )


def test_commands_of_plugins_are_found(inferflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = click.Command("mine", help="Paints a fence.", params=[click.Option(["--colour"])])
    monkeypatch.setattr(help_module, "plugin_commands", lambda taken: {"mine": mine})
    assert ("inferflow mine", "--colour") in found(inferflow, "mine")
    assert found(inferflow, "fence") == [("inferflow mine", None)]


def test_an_unknown_option_names_the_nearest_and_the_help(inferflow: Any) -> None:
    for words, name in ((["serve", "m", "--prt", "1"], "--port"), (["run", "--sead"], "--seed")):
        done = inferflow(*words)
        assert done.code == 2
        assert name in done.err
        assert done.err.endswith(f"Hint: inferflow {words[0]} --help\n")
