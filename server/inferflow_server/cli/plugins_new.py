"""`inferflow plugins new NAME --kind KIND`: a package to begin with."""

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import click

from inferflow_core.catalog import Catalog, known
from inferflow_core.errors import UsageError
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import note, print_json
from inferflow_server.cli.scaffold import KINDS, Package


@click.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What the plugin is.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder to make; default: named as the distribution, in the current folder.",
)
@json_option
@debug_option
def command(name: str, kind: str, out: Path | None, as_json: bool) -> None:
    """Write a plugin package that passes its own tests, and print its folder.

    NAME is prefix.name, as specs will write it. The prefix is a word of your own, the same for all
    your plugins; without one it is asked for. For pip, acme.poly_norm is
    inferflow-plugin-acme-poly-norm.

    \b
    Example:
        inferflow plugins new acme.poly_norm --kind norm

    Then, in the folder, pip install -e ".[test]" and python -m pytest. Nothing that is there
    already is written over.

    --json prints {"name", "kind", "distribution", "package", "folder", "files"}.
    """
    prefix, dot, rest = name.partition(".")
    package = Package(prefix, rest, kind) if dot else Package(_ask_prefix(name, kind), name, kind)
    _refuse_taken(package)
    folder = out or Path(package.distribution)
    _write(package, folder)
    if as_json:
        print_json(
            {
                "name": package.entry,
                "kind": kind,
                "distribution": package.distribution,
                "package": package.package,
                "folder": str(folder.absolute()),
                "files": list(package.files),
            }
        )
        return
    click.echo(folder)
    note(f'Next: cd {folder} && pip install -e ".[test]" && python -m pytest')


def _ask_prefix(name: str, kind: str) -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{name!r} has no prefix; names without one belong to inferflow-core",
            hint=f"inferflow plugins new yourprefix.{name} --kind {kind}",
        )
    return click.prompt("The prefix of your plugins' names", err=True)


def _refuse_taken(package: Package) -> None:
    """Raises UsageError where the name is somebody's already."""
    entries = Catalog().entries()
    owners = [e.distribution for e in entries if (e.kind, e.name) == (package.kind, package.entry)]
    owners += [known().get(package.kind, {}).get(package.entry, "")]
    with suppress(PackageNotFoundError):
        owners += [distribution(package.distribution).name]
    if owner := next(filter(None, owners), None):
        raise UsageError(f"{package.entry} is taken: {owner} provides it", hint="take another name")
    others = {e.distribution for e in entries if e.name.startswith(f"{package.prefix}.")}
    if others:
        names = " and ".join(sorted(others))
        note(f"Note: names that begin with {package.prefix}. are also in {names}.")


def _write(package: Package, folder: Path) -> None:
    """The whole folder or nothing. Raises UsageError."""
    if os.path.lexists(folder):
        raise UsageError(f"{folder} is there already", hint="--out FOLDER names another")
    parent = folder.absolute().parent
    try:
        room = Path(tempfile.mkdtemp(dir=parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise UsageError(f"cannot write into {parent}: {error.strerror}") from error
    try:
        made = room / "package"
        for name, text in package.files.items():
            file = made / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        made.rename(folder)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(room, ignore_errors=True)
