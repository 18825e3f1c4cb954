"""Groups of commands that are imported by name, each when it is called."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import click

from inferflow_core.errors import nearest


@dataclass(frozen=True)
class Command:
    """The attribute `command` of a module, and the line that help prints for it."""

    module: str
    help: str


@dataclass(frozen=True)
class Subgroup:
    help: str
    commands: Mapping[str, Command]


Commands: TypeAlias = Mapping[str, "Command | Subgroup"]


class LazyGroup(click.Group):
    """A click group over a table of commands."""

    def __init__(self, *, commands: Commands, **settings: Any) -> None:
        super().__init__(**settings)
        self._table = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        match self._table.get(cmd_name):
            case Command(module):
                command: click.Command = importlib.import_module(module).command
                return command
            case Subgroup(help, commands):
                return LazyGroup(commands=commands, name=cmd_name, help=help)
            case None:
                return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            raise click.UsageError(f"no command {name!r}.{nearest(name, self._table)}", ctx)
        return name, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self._table.items()])
