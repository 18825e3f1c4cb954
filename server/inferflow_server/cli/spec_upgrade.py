"""`inferflow spec upgrade FILE`: where an old version of the language becomes the new one."""

from pathlib import Path

import click

from inferflow_core.errors import Problem, SpecError, UsageError
from inferflow_core.spec import check, parse_spec
from inferflow_core.spec.reader import MAX_BYTES, VERSION, parse_toml
from inferflow_server.atomic import replacing
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import note, print_json


@click.command("upgrade")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--write", is_flag=True, help="Change the file, instead of printing the text.")
@json_option
@debug_option
def command(file: Path, write: bool, as_json: bool) -> None:
    """Print a spec file in the newest version of the language, 1, and check it.

    There is no older version, so all that it can mend is a file without its version: the line
    spec = 1 is added and everything else stays as it is. Nothing is printed or written of a file
    that has other mistakes.

    \b
    Example:
        inferflow spec upgrade my.toml --write

    --json prints {"file", "version", "changed", "text"}.
    """
    before = _read(file)
    after = upgraded(before, str(file))
    catalog, _ = registered()
    check(parse_spec(after, catalog, label=str(file)), catalog)
    changed = after != before
    if changed and write:
        with replacing(file) as target:
            target.write(after.encode("utf-8"))
    done = "written" if write else "printed; --write changes the file"
    note(f"{file}: spec = 1 added, {done}" if changed else f"{file}: already at version {VERSION}")
    if as_json:
        print_json({"file": str(file), "version": VERSION, "changed": changed, "text": after})
    elif not write:
        click.echo(after, nl=False)


def upgraded(text: str, label: str) -> str:
    """The text with `spec = 1` before its first key or table, if it has no version; comments and
    line ends stay. Raises SpecError for another version."""
    raw = parse_toml(text, label)
    version = raw.get("spec")
    if type(version) is int and version > VERSION:
        message = f"version {version}; this inferflow-core reads up to {VERSION}"
        raise SpecError(
            label, [Problem("spec", message)], hint="pip install --upgrade inferflow-core"
        )
    if version is not None:
        return text
    lines = text.splitlines(keepends=True)
    begin = (
        i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")
    )
    first = next(begin, len(lines))
    end = "\r\n" if "\r\n" in text else "\n"
    if first and not lines[first - 1].endswith("\n"):
        lines[first - 1] += end
    return "".join([*lines[:first], f"spec = {VERSION}{end}", *lines[first:]])


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as UTF-8 text: {error}") from error
