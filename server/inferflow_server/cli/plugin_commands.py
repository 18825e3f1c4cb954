"""Commands that plugins add."""

from collections.abc import Collection

import click

from inferflow_server.cli.model import registered
from inferflow_server.cli.output import note


def plugin_commands(*, taken: Collection[str]) -> dict[str, click.Command]:
    """By name. Ours cannot be replaced, and of two plugins with one name neither counts."""
    found: dict[str, click.Command] = {}
    twice: set[str] = set()
    for commands in registered()[1].call("inferflow_cli_commands"):
        for name, command in commands.items():
            if name in found:
                twice.add(name)
            found[name] = command
    for name in sorted(twice):
        note(f"the command {name!r} is claimed by two plugins and left out")
    return {name: each for name, each in found.items() if name not in twice and name not in taken}
