"""Prints docs/cli.md: every command, from its own help."""

import inspect
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator

import click
from inferflow_server.cli.group import walk
from inferflow_server.cli.main import cli
from inferflow_server.cli.options import model_options
from inferflow_server.cli.settings import SHARED, key_of, settings_of, variables

from inferflow_core import errors

INTRODUCTION = """# Commands

Made by `make docs` from the commands' own help; do not edit. What is asked for goes to stdout,
everything else (progress, notes, errors) to stderr, so every command can be piped. `NO_COLOR` is
respected. What MODEL may be, and when it is fetched: [Use](use.md#what-a-model-is). Every option
may be set once for all, by the variables below or in a file: [Settings](configuration.md).
"""
MODEL_OPTIONS = """
## Options on a model

Every command on a model takes it as the first word or as `--spec`, and these with it. Their
variables hold for all commands; `INFERFLOW_RUN_BACKEND` is that of one.
"""
PLUGINS = """
## Commands of plugins

A plugin may add commands (the hook `inferflow_cli_commands`). They are looked for only when a name
is none of the above, so installing a plugin cannot slow down or replace these.
"""
EXIT_CODES = """
## Exit codes

| exit code | of |
|---|---|
| 0 | what worked |"""


def main() -> None:
    contexts = list(walk(click.Context(cli, info_name="inferflow")))
    print(INTRODUCTION)
    for context in contexts:
        path = context.command_path
        summary = paragraphs(context.command)[0].rstrip(".")
        print(f"- [`{path}`](#{path.replace(' ', '-')}): {marked(summary)}")
    of_models = click.command("shared")(model_options(lambda options: None))
    for option in settings_of(of_models).values():
        option.envvar = [name for name in variables([], key_of(option)) if key_of(option) in SHARED]
    shared = {option.name for option in of_models.params}
    print(MODEL_OPTIONS)
    print("\n".join(table(of_models.params)))
    for context in contexts:
        print("\n".join(describe(context, shared)))
    print(PLUGINS.rstrip() + EXIT_CODES.replace("\n## ", "\n\n## ", 1))
    for code, names in exit_codes().items():
        print(f"| {code} | {', '.join(f'`{name}`' for name in names)} |")
    print("| 130 | Ctrl-C |\n\nWhat they mean: [Errors](errors.md).")


def describe(context: click.Context, shared: set[str | None]) -> Iterator[str]:
    """The section of one command."""
    command = context.command
    yield f"\n## {context.command_path}\n\n```text\n{usage(context)}\n```"
    for paragraph in paragraphs(command):
        yield "\n" + (block(paragraph[2:]) if paragraph.startswith("\b\n") else marked(paragraph))
    on_a_model = "spec" in {each.name for each in command.params}
    hidden = shared if on_a_model else set[str | None]()
    own = [each for each in command.params if each.name not in hidden]
    if any(isinstance(each, click.Option) for each in own):
        yield ""
        yield from table(own)
    if on_a_model:
        yield "\nAnd the [options on a model](#options-on-a-model)."


def usage(context: click.Context) -> str:
    return f"{context.command_path} {' '.join(context.command.collect_usage_pieces(context))}"


def paragraphs(command: click.Command) -> list[str]:
    return re.split(r"\n\n+", inspect.cleandoc(command.help or "").replace("\x08", "\b"))


def block(verbatim: str) -> str:
    """Lines that help prints as they are. Examples work, so they are commands, which the tests
    run; what depends on the reader's network or shell has another heading and is a text."""
    first, _, rest = verbatim.partition("\n")
    if first in ("Example:", "Examples:"):
        return f"```sh\n{textwrap.dedent(rest)}\n```"
    return f"```text\n{verbatim}\n```"


def marked(text: str) -> str:
    """As Markdown: options, keys and shapes of JSON are code, where they are not marked yet."""
    if "`" in text:
        return text
    text = re.sub(r'(?s)(\[?\{"[^{}]*\}\]?|"\w+"|(?<![\w-])--[a-z][a-z-]*)', r"`\1`", text)
    return re.sub(r"`[^`]*`", lambda found: found[0].replace("\n", " "), text)


def table(parameters: list[click.Parameter]) -> Iterator[str]:
    options = [each for each in parameters if isinstance(each, click.Option) and not each.hidden]
    yield "| option | value | default | meaning |\n|---|---|---|---|"
    for option in options:
        names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
        given = [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
        names += "".join(f"<br>`{variable}`" for variable in given)
        cells = (names, value(option), default(option), marked(option.help or ""))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def value(option: click.Option) -> str:
    """What may be written after the option."""
    kind = option.type
    if option.is_flag or option.count:
        return ""
    if isinstance(kind, click.Choice):
        return " or ".join(f"`{choice}`" for choice in kind.choices)
    words = {"integer": "whole number", "integer range": "whole number", "float range": "number"}
    words |= {"float": "number", "path": "path", "file": "path", "directory": "path"}
    text = f"`{option.metavar}`" if option.metavar else words.get(kind.name, kind.name)
    if isinstance(kind, click.IntRange | click.FloatRange):
        low = "" if kind.min is None else f"{kind.min}"
        high = "" if kind.max is None else f"{kind.max}"
        text += f", {low} … {high}".rstrip()
    return text + (", may be repeated" if option.multiple else "")


def default(option: click.Option) -> str:
    if option.required:
        return "required"
    given = option.to_info_dict()["default"]
    plain = isinstance(given, str | int | float) and not isinstance(given, bool)
    return f"`{given}`" if plain else ""


def exit_codes() -> dict[int, list[str]]:
    """Exit code -> the classes of `inferflow_core.errors` that have it."""
    found: dict[int, list[str]] = defaultdict(list)
    for name, error in inspect.getmembers(errors, inspect.isclass):
        if issubclass(error, errors.InferflowError) and error is not errors.InferflowError:
            found[error.exit_code].append(name)
    return dict(sorted(found.items()))


if __name__ == "__main__":
    main()
