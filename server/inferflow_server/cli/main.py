"""The root command, and what happens to errors."""

import os
import sys
from collections.abc import Sequence

import click
from click.core import ParameterSource

from inferflow_core.errors import InferflowError
from inferflow_core.version import __version__
from inferflow_server.cli.group import Command, LazyGroup, Subgroup
from inferflow_server.cli.output import colour
from inferflow_server.cli.settings import variable_in_use, with_variables

HERE = "inferflow_server.cli"

COMMANDS = {
    "run": Command(f"{HERE}.run", "Answer a prompt in the terminal, or have a conversation."),
    "serve": Command(f"{HERE}.serve", "Serve a model over HTTP, as OpenAI does."),
    "client": Command(f"{HERE}.client", "Ask a running server, or have a conversation."),
    "embed": Command(f"{HERE}.embed", "Print vectors of texts, and how near they are."),
    "pull": Command(f"{HERE}.pull", "Fetch a model's files."),
    "ls": Command(f"{HERE}.ls", "List the models in the cache."),
    "rm": Command(f"{HERE}.rm", "Remove models from the cache."),
    "verify": Command(f"{HERE}.verify", "Hash the models in the cache anew."),
    "convert": Command(f"{HERE}.convert", "Write a model as one file that opens fast."),
    "inspect": Command(f"{HERE}.inspect", "Show what a model is made of."),
    "plan": Command(f"{HERE}.plan", "Tell how much memory a model takes, and what fits."),
    "check": Command(f"{HERE}.check", "Check a spec and its model without reading weights."),
    "tokenize": Command(f"{HERE}.tokenize", "Print a text as a model's tokens, or ids as a text."),
    "bench": Command(f"{HERE}.bench", "Measure speed and memory."),
    "eval": Subgroup(
        "Measure what a model computes.",
        {
            "logits": Command(f"{HERE}.eval_logits", "Write the logits of token ids to a file."),
            "perplexity": Command(f"{HERE}.eval_perplexity", "Perplexity on a text."),
        },
    ),
    "plugins": Subgroup(
        "See, write and check plugins.",
        {
            "list": Command(f"{HERE}.plugins_list", "List every name in the catalog."),
            "show": Command(f"{HERE}.plugins_show", "Show one name: fields, defaults, source."),
            "new": Command(f"{HERE}.plugins_new", "Write a plugin package to begin with."),
            "check": Command(f"{HERE}.plugins_check", "Check that plugins keep their interfaces."),
        },
    ),
    "config": Subgroup(
        "See what is set.",
        {
            "show": Command(
                f"{HERE}.config_show", "Show each setting and where it comes from.", settings=False
            )
        },
    ),
    "spec": Subgroup(
        "See what a model is made of; begin a spec.",
        {
            "show": Command(
                f"{HERE}.spec_show", "Print a filled spec and where each value is from."
            ),
            "init": Command(f"{HERE}.spec_init", "Write the spec of a checkpoint, to begin with."),
            "schema": Command(f"{HERE}.spec_schema", "Print a JSON Schema that editors read."),
            "upgrade": Command(f"{HERE}.spec_upgrade", "Print a spec in the newest version."),
        },
    ),
    "doctor": Command(
        f"{HERE}.doctor", "Look at this machine and this installation.", settings=False
    ),
    "completion": Command(
        f"{HERE}.completion", "Print a script that completes in a shell.", settings=False
    ),
    "help": Command(f"{HERE}.help", "Find commands and options by words.", settings=False),
}

INTERRUPTED = 130


class Root(LazyGroup):
    """Adds the commands of plugins, which are looked for only when a name is not ours."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found
        from inferflow_server.cli.plugin_commands import plugin_commands

        command = plugin_commands(taken=COMMANDS).get(cmd_name)
        if command is None or isinstance(command, click.Group):
            return command
        return with_variables([cmd_name], command)


@click.command(
    cls=Root,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Installed plugins may add commands; `inferflow plugins list --kind hook` lists them.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Run transformer language models: a new model is a spec file, a new part a pip package."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0, or the exit code of its error (`docs/errors.md`)."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not end the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """The exit code of a command; its errors are printed."""
    # numba, where it comes in, colours messages that nobody sees, and resets the terminal at exit.
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    try:
        code = cli.main(list(arguments), prog_name="inferflow", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.Abort:
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _fail(error.format_message(), _hint(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read the output has left; the interpreter's own flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except InferflowError as error:
        if _debugging(arguments):
            raise
        return _fail(error.message, error.hint, error.exit_code)
    except Exception as error:
        if _debugging(arguments):
            raise
        message = f"this is a defect of inferflow: {type(error).__name__}: {error}"
        return _fail(message, "run it again with --debug for the traceback", 1)


def _debugging(arguments: Sequence[str]) -> bool:
    variable = os.environ.get("INFERFLOW_DEBUG", "")
    return "--debug" in arguments or variable.lower() not in ("", "0", "false", "no", "off")


def _hint(error: click.ClickException) -> str | None:
    """The command's help, or the variable that gave the wrong value."""
    context: click.Context | None = getattr(error, "ctx", None)
    option = getattr(error, "param", None)
    if context is None:
        return None
    if isinstance(option, click.Option) and (
        context.get_parameter_source(option.name or "") is ParameterSource.ENVIRONMENT
    ):
        return f"the value is from the variable {variable_in_use(option)}"
    return f"{context.command_path} --help"


def _fail(message: str, hint: str | None, code: int) -> int:
    color = colour()
    click.echo(click.style("Error: ", fg="red", bold=True) + message, err=True, color=color)
    if hint:
        click.echo(click.style("Hint: ", fg="cyan") + hint, err=True, color=color)
    return code
