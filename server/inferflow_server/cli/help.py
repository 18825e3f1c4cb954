"""`inferflow help`: the tree of commands, and a search through their help."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from inferflow_core.errors import UsageError, nearest
from inferflow_server.cli.group import LazyGroup, walk
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import note, print_columns, print_json
from inferflow_server.cli.plugin_commands import plugin_commands

Found = dict[str, Any]
"""`command`, `option` (None for the command itself), `metavar`, `help`: one line."""


@click.command("help")
@click.argument("words", nargs=-1)
@json_option
@debug_option
def command(words: tuple[str, ...], as_json: bool) -> None:
    """Find commands and options by WORDS; without words, list every command.

    All of the words must be in the name or the help of a command, or of an option and its command's
    name. Upper and lower case are the same.

    \b
    Examples:
        inferflow help
        inferflow help api key
        inferflow help serve

    --json prints a list of {"command", "option", "metavar", "help"}.
    """
    root = click.get_current_context().find_root()
    found = [each for each, text in _everything(root) if _matches(each, text, words)]
    if not found:
        known = {name for each, _ in _everything(root) for name in each["command"].split()[1:]}
        known |= {(each["option"] or "").strip("-") for each, _ in _everything(root)}
        close = nearest(words[0], known) if len(words) == 1 else ""
        raise UsageError(f"nothing matches {' '.join(words)!r}.{close}", hint="inferflow help")
    if as_json:
        print_json(found)
        return
    print_columns([[_name(each), each["help"]] for each in found])
    note("inferflow COMMAND --help tells more.")


def _matches(found: Found, text: str, words: Sequence[str]) -> bool:
    """Without words, the commands alone."""
    if not words:
        return found["option"] is None
    return all(word.lower() in text for word in words)


def _everything(root: click.Context) -> Iterator[tuple[Found, str]]:
    """Every command and option, with the text that is searched."""
    for context in walk(root):
        yield from _of_command(context)
    group = root.command
    assert isinstance(group, LazyGroup)
    for name, command in plugin_commands(taken=group.list_commands(root)).items():
        yield from _of_command(click.Context(command, info_name=name, parent=root))


def _of_command(context: click.Context) -> Iterator[tuple[Found, str]]:
    command, path = context.command, context.command_path
    found = {"command": path, "option": None, "metavar": None}
    found["help"] = command.get_short_help_str(limit=100)
    yield found, f"{path} {command.help or ''}".lower()
    for option in command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is None or not option.opts:
            continue
        typed, help = record
        name = max(option.opts, key=len)
        metavar = typed.rpartition(name)[2].strip() or None
        found = {"command": path, "option": name, "metavar": metavar, "help": option.help or help}
        yield found, f"{path} {typed} {help}".lower()


def _name(found: Found) -> str:
    parts = (found["command"], found["option"], found["metavar"])
    return " ".join(part for part in parts if part)
