"""Rows of `inferflow config show`: name, value, source, and which variable, file or spec it was."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import click
from click.core import ParameterSource

from inferflow_core.errors import Problem
from inferflow_server.cli.config_file import config_path, values_of
from inferflow_server.cli.group import words_of
from inferflow_server.cli.settings import (
    SHARED,
    is_secret,
    key_of,
    settings_of,
    variable_in_use,
    variables,
)

Row = dict[str, Any]
"""`name`, `value`, `source` (default, file, environment, spec), `from`; of a setting its
`variables`, the one that goes first first."""

HIDDEN = "(hidden)"


def shared_rows(
    contexts: Iterable[click.Context], config: Mapping[str, Any], problems: list[Problem]
) -> list[Row]:
    """What is set for all commands at once."""
    options: dict[str, click.Option] = {}
    for context in contexts:
        options = settings_of(context.command) | options
    every = click.Command("every", params=[_of_all(options[key]) for key in SHARED])
    top = {key: config[key] for key in SHARED if key in config}
    return _rows(click.Context(every), (), top, problems)


def command_rows(
    context: click.Context,
    config: Mapping[str, Any],
    problems: list[Problem],
    *,
    all_of_them: bool,
) -> list[Row]:
    """What is set for one command; of the shared settings, unless `all_of_them` are asked for,
    those that are set for this command alone."""
    words = words_of(context)
    rows = _rows(context, words, config, problems)
    if all_of_them:
        return rows
    own: Any = config
    for word in words:
        own = own.get(word, {}) if isinstance(own, Mapping) else {}
    kept = []
    for row in rows:
        key = row["name"].rpartition(".")[2]
        special = row["from"] == variables(words, key)[0] or (
            row["source"] == "file" and key in own
        )
        if key not in SHARED or special:
            kept.append(row)
    return kept


def run_rows(plan: Mapping[str, Any], backend: Row, overrides: Row) -> list[Row]:
    """The [run] table of a plan as `to_json` gives it."""
    rows: list[Row] = []
    for path, origin in plan["origins"].items():
        if not path.startswith("run."):
            continue
        value: Any = plan["tables"]
        for part in path.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
        row: Row = {"name": path, "value": value, "source": "spec", "from": origin}
        if origin == "default":
            row |= {"source": "default", "from": None}
        elif origin == "--set":
            setting = backend if path == "run.backend" and backend["value"] else overrides
            row |= {"source": setting["source"], "from": setting["from"]}
        rows.append(row)
    return rows


def _of_all(option: click.Option) -> click.Option:
    alone = copy.copy(option)
    alone.envvar = variables((), key_of(option))
    return alone


def _rows(
    context: click.Context,
    words: Sequence[str],
    config: Mapping[str, Any],
    problems: list[Problem],
) -> list[Row]:
    context.default_map, wrong = values_of(config, words, context.command)
    problems += [each for each in wrong if each not in problems]
    rows: list[Row] = []
    for key, option in settings_of(context.command).items():
        row: Row = {"name": ".".join((*words, key)), "value": None, "source": "default"}
        row |= {"from": None, "variables": option.envvar}
        try:
            row["value"] = _json(option.handle_parse_result(context, {}, [])[0])
        except click.MissingParameter:
            pass
        except click.BadParameter as error:
            problems.append(Problem(variable_in_use(option) or row["name"], error.message))
        match context.get_parameter_source(option.name or ""):
            case ParameterSource.ENVIRONMENT:
                row |= {"source": "environment", "from": variable_in_use(option)}
            case ParameterSource.DEFAULT_MAP:
                row |= {"source": "file", "from": str(config_path())}
        if is_secret(key) and row["value"] is not None:
            row["value"] = HIDDEN
        rows.append(row)
    return rows


def _json(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_json(each) for each in value]
    if value is None or isinstance(value, Enum):  # click's sign for no value is an Enum
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)
