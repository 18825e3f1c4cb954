"""The file of settings: a TOML table for each command, and at the top what all of them share."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click

from inferflow_core.errors import Problem, SpecError, UsageError, nearest
from inferflow_server.cli.settings import SHARED, settings_of

MAX_BYTES = 64 * 1024
SHOW = "inferflow config show"

Tree: TypeAlias = Mapping[str, Sequence[str] | None]
"""The names of the commands; of a group, those in it."""


def config_path() -> Path:
    """`INFERFLOW_CONFIG`, else `config.toml` in the platform's config folder of the user."""
    given = os.environ.get("INFERFLOW_CONFIG")
    if given:
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "inferflow" / "config.toml"


def read_config(path: Path) -> dict[str, Any]:
    """The file as TOML; empty where there is none. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        if os.environ.get("INFERFLOW_CONFIG"):
            message = f"there is no file {path}, which INFERFLOW_CONFIG names"
            raise UsageError(message) from None
        return {}
    except OSError as error:
        raise UsageError(f"cannot read the settings in {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} is longer than {MAX_BYTES} bytes: that is no file of settings")
    from inferflow_core.spec.reader import parse_toml

    try:
        return parse_toml(data.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    except SpecError as error:
        wrong = error.problems[0]
        raise UsageError(f"{path}: {wrong.path}: {wrong.message}", hint=SHOW) from None


def from_file(
    words: Sequence[str], command: click.Command, tree: Tree, elsewhere: Callable[[str], bool]
) -> dict[str, Any]:
    """What the file says for the command `words`, by the names of click's parameters.

    Raises UsageError with all that is wrong with the file, as far as this command is concerned.
    """
    path = config_path()
    config = read_config(path)
    values, problems = values_of(config, words, command)
    problems += unknown_tables(config, tree, elsewhere)
    if problems:
        raise UsageError(f"the settings in {path}:{problem_lines(problems)}", hint=SHOW)
    return values


def problem_lines(problems: Sequence[Problem]) -> str:
    return "".join(f"\n  {each.path}: {each.message}" for each in problems)


def values_of(
    config: Mapping[str, Any], words: Sequence[str], command: click.Command
) -> tuple[dict[str, Any], list[Problem]]:
    """The part of a file that is for one command, and what is wrong with that part. Of a shared
    option the command's own table goes before the top of the file."""
    options = settings_of(command)
    own = _table(config, words)
    problems = [
        Problem(".".join((*words, key)), f"no option has this name.{nearest(key, options)}")
        for key in own
        if key not in options
    ]
    found: dict[str, Any] = {}
    for key, option in options.items():
        table = own if key in own else config if key in SHARED else {}
        if key in table:
            try:
                found[option.name or key] = _text(option, table[key], command)
            except click.BadParameter as error:
                at = ".".join((*words, key)) if table is own else key
                problems.append(Problem(at, error.message))
    return found, problems


def unknown_tables(
    config: Mapping[str, Any], tree: Tree, elsewhere: Callable[[str], bool]
) -> Iterator[Problem]:
    """Names in the file that are no command and no shared setting; `elsewhere` is asked last
    whether a plugin has the command."""
    for name, value in config.items():
        if name in SHARED:
            continue
        if not isinstance(value, dict):
            message = f"no setting that all commands share.{nearest(name, SHARED)}"
            yield Problem(name, f"{message} (they share: {', '.join(SHARED)})")
        elif name not in tree:
            if not elsewhere(name):
                yield Problem(name, f"no command with settings has this name.{nearest(name, tree)}")
        elif (known := tree[name]) is not None:
            for key, below in value.items():
                if key not in known or not isinstance(below, dict):
                    tables = ", ".join(f"[{name}.{each}]" for each in known)
                    yield Problem(f"{name}.{key}", f"unknown.{nearest(key, known)} Write {tables}")


def _table(config: Mapping[str, Any], words: Sequence[str]) -> Mapping[str, Any]:
    for word in words:
        below = config.get(word)
        config = below if isinstance(below, dict) else {}
    return config


def _text(option: click.Option, value: Any, command: click.Command) -> Any:
    """A TOML value as it would be typed, checked by the option's own type."""
    if option.multiple:
        if not isinstance(value, list):
            raise click.BadParameter(f"must be a list, found a {type(value).__name__}")
        typed: Any = [_typed(each) for each in value]
    elif option.is_flag:
        if not isinstance(value, bool):
            raise click.BadParameter(f"must be true or false, found a {type(value).__name__}")
        return value
    else:
        typed = _typed(value)
    option.type_cast_value(click.Context(command), typed)
    return typed


def _typed(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise click.BadParameter(f"must be a text or a number, found a {type(value).__name__}")
    return str(value)
