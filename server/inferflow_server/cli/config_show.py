"""`inferflow config show`: each setting, and where it comes from."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from inferflow_core.errors import FindingError, Problem, UsageError, nearest
from inferflow_core.spec import to_json
from inferflow_server.cli.config_file import (
    config_path,
    problem_lines,
    read_config,
    unknown_tables,
)
from inferflow_server.cli.config_rows import Row, command_rows, run_rows, shared_rows
from inferflow_server.cli.fetch import spec_without_files
from inferflow_server.cli.group import LazyGroup, walk, words_of
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import ModelOptions, debug_option, json_option
from inferflow_server.cli.output import note, print_columns, print_json
from inferflow_server.cli.settings import OTHER_VARIABLES


@click.command("show")
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.option("--spec", metavar="MODEL", help="Also the [run] table that this model would get.")
@click.option("--path", "only_path", is_flag=True, help="Print only where the file is looked for.")
@json_option
@debug_option
def command(words: tuple[str, ...], spec: str | None, only_path: bool, as_json: bool) -> None:
    """Show each setting, its value, and where that comes from.

    Of one COMMAND (inferflow config show serve), or of all. The command line goes before
    environment variables, these before the file of settings, that before a model's spec, and that
    before the defaults. Keys and passwords are not shown.

    Exits with 8 if something is wrong with a setting; the others are shown all the same.

    \b
    Examples:
        inferflow config show serve
        inferflow config show --spec model.gguf

    --json prints {"path", "exists", "settings", "variables", "run", "problems"}; each of "settings"
    is {"name", "value", "source", "from", "variables"}.
    """
    path = config_path()
    if only_path:
        click.echo(path)
        return
    config, problems = _read()
    root = click.get_current_context().find_root()
    rows = _rows(root, words, config, problems)
    run = _run_rows(spec, rows) if spec else []
    others = [
        {"name": name, "value": os.environ.get(name) or None, "meaning": meaning}
        for name, meaning in OTHER_VARIABLES.items()
    ]
    if as_json:
        report = {"path": str(path), "exists": path.exists(), "settings": rows, "variables": others}
        wrong = [{"path": each.path, "message": each.message} for each in problems]
        print_json(report | ({"run": run} if spec else {}) | {"problems": wrong})
    else:
        note(f"File of settings: {path}" + ("" if path.exists() else " (there is none)"))
        print_columns([["SETTING", "VALUE", "FROM"], *(_cells(row) for row in rows)])
        for other in others:
            if other["value"] is not None:
                click.echo(f"\n{other['name']} = {other['value']}  ({other['meaning']})")
        if run:
            click.echo(f"\n[run] of {spec}")
            print_columns([_cells(row) for row in run])
    if problems:
        raise FindingError(f"the settings are not right:{problem_lines(problems)}")


def _read() -> tuple[dict[str, Any], list[Problem]]:
    path = config_path()
    try:
        return read_config(path), []
    except UsageError as error:
        return {}, [Problem("file", error.message)]


def _rows(
    root: click.Context, words: Sequence[str], config: Mapping[str, Any], problems: list[Problem]
) -> list[Row]:
    """Rows of all settings, or of those of the command `words`; problems are added."""
    group = root.command
    assert isinstance(group, LazyGroup)
    problems += unknown_tables(config, group.tree, group.adds)
    contexts = [each for each in walk(root) if _has_settings(each)]
    chosen = [each for each in contexts if words_of(each)[: len(words)] == list(words)]
    if not chosen:
        names = {" ".join(words_of(each)) for each in contexts}
        name = " ".join(words)
        raise UsageError(f"no command {name!r} has settings.{nearest(name, names)}")
    rows = [] if words else shared_rows(contexts, config, problems)
    for context in chosen:
        rows += command_rows(context, config, problems, all_of_them=bool(words))
    return rows


def _has_settings(context: click.Context) -> bool:
    group = context.parent.command if context.parent else None
    return not isinstance(group, LazyGroup) or group.has_settings(
        context.info_name or "", context.command
    )


def _run_rows(reference: str, rows: Sequence[Row]) -> list[Row]:
    """The [run] table of a model, opened with the backend and overrides that are set."""
    last = {row["name"].rpartition(".")[2]: row for row in rows}
    backend, overrides = last["backend"], last["set"]
    options = ModelOptions(reference, backend["value"], tuple(overrides["value"]), True, False)
    catalog, _ = registered()
    if spec_without_files(options, catalog) is not None:
        raise UsageError(
            f"{reference} has no checkpoint here: its values are not known",
            hint=f"inferflow pull {reference}, or give the checkpoint as the model",
        )
    network = catalog.get("engine", "continuous").inspect(
        reference, catalog=catalog, backend=options.backend, set=options.set
    )
    return run_rows(to_json(network.plan), backend, overrides)


def _cells(row: Row) -> list[str]:
    value = row["value"]
    if isinstance(value, list):
        shown = " ".join(map(str, value)) or "-"
    else:
        shown = "-" if value is None else str(value).lower() if value in (True, False) else value
    return [row["name"], str(shown), row["from"] or row["source"]]
