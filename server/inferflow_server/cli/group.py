"""Groups of commands that are imported by name, each when it is called."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from inferflow_core.errors import nearest
from inferflow_server.cli.config_file import Tree, from_file
from inferflow_server.cli.settings import with_variables

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@dataclass(frozen=True)
class Command:
    """The attribute `command` of a module, and the line that help prints for it.

    `settings`: whether its options may be set in the file of settings and by variables.
    """

    module: str
    help: str
    settings: bool = True


@dataclass(frozen=True)
class Subgroup:
    help: str
    commands: Mapping[str, Command]


HELP_OPTIONS = frozenset({"-h", "--help"})
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
            case Command(module, _, settings):
                command: click.Command = importlib.import_module(module).command
                return with_variables([*words_of(ctx), cmd_name], command) if settings else command
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
            if ctx.resilient_parsing:
                return None, None, args
            raise click.UsageError(f"no command {name!r}.{nearest(name, self._table)}", ctx)
        only_help = ctx.resilient_parsing or not HELP_OPTIONS.isdisjoint(args)
        if not only_help and self.has_settings(name, command):
            root = ctx.find_root().command
            assert isinstance(root, LazyGroup)
            words = [*words_of(ctx), name]
            ctx.default_map = {name: from_file(words, command, root.tree, root.adds)}
        return name, command, args[1:]

    def has_settings(self, name: str, command: click.Command) -> bool:
        entry = self._table.get(name)
        if isinstance(command, click.Group):
            return False
        return entry.settings if isinstance(entry, Command) else True

    def adds(self, name: str) -> bool:
        """Whether a plugin adds the command. Looks for the plugins' commands."""
        return name not in self._table and self.get_command(click.Context(self), name) is not None

    @property
    def tree(self) -> Tree:
        """The names of the commands that have settings. Imports none."""
        found: dict[str, list[str] | None] = {}
        for name, entry in self._table.items():
            if isinstance(entry, Subgroup):
                inner = [each for each, command in entry.commands.items() if command.settings]
                found |= {name: inner} if inner else {}
            elif entry.settings:
                found[name] = None
        return found

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """From the table, so that completing imports no command."""
        from click.shell_completion import CompletionItem

        fitting = [(name, each.help) for name, each in self._table.items()]
        return [
            *(
                CompletionItem(name, help=help)
                for name, help in fitting
                if name.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self._table.items()])


def words_of(context: click.Context) -> list[str]:
    """The words of a command after the program's own name."""
    words: list[str] = []
    while context.parent is not None:
        words.insert(0, context.info_name or "")
        context = context.parent
    return words


def walk(context: click.Context) -> Iterator[click.Context]:
    """A context for each command below a group's, in the order of help. Imports the commands."""
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            below = click.Context(command, info_name=name, parent=context)
            yield from walk(below) if isinstance(command, click.Group) else [below]
