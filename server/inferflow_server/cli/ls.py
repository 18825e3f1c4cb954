"""`inferflow ls`."""

from dataclasses import dataclass

import click

from inferflow_core import store
from inferflow_core.cache import cache_dir
from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError
from inferflow_core.spec.merge import read_entry
from inferflow_core.spec.nodes import Leaf, Section
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import note, print_columns, print_json, printable, size_text

HEADER = ["REFERENCE", "SIZE", "PULLED", "STATE"]


@dataclass(frozen=True)
class Predefined:
    """A model that has a name: its spec names where the files come from."""

    name: str
    family: str
    path: str
    about: str


@click.command("ls")
@click.option("--predefined", is_flag=True, help="The models that can be pulled by name, instead.")
@json_option
@debug_option
def command(predefined: bool, as_json: bool) -> None:
    """List the models in the cache.

    A model is complete, or damaged (files are missing or of another size than when it was pulled;
    `inferflow verify` reads them whole), or unlisted: pulled by an older version that kept no list
    of files. What a pull left that was broken off, or that is under way, is incomplete: the next
    pull of it goes on from there, and `inferflow rm --stale` removes it.

    \b
    Examples:
        inferflow ls
        inferflow ls --predefined

    --json prints {"cache", "models": [{"reference", "state", "bytes", "pulled", "path"}]}; "pulled"
    is a time in UTC, or null. With --predefined it is [{"name", "family", "path", "about"}].
    """
    if predefined:
        models = find_predefined(registered()[0])
        if as_json:
            print_json([vars(one) for one in models])
        else:
            rows = [[one.name, one.family, one.about] for one in models]
            print_columns([["NAME", "FAMILY", "MODEL"], *rows])
        return
    found = store.kept()
    if as_json:
        kept = [
            {"reference": one.reference, "state": one.state}
            | {"bytes": one.nbytes, "pulled": one.pulled, "path": str(one.path)}
            for one in found
        ]
        print_json({"cache": str(cache_dir()), "models": kept})
        return
    rows = [
        [printable(one.reference), size_text(one.nbytes), (one.pulled or "")[:16], one.state]
        for one in found
    ]
    if rows:
        print_columns([HEADER, *rows])
    note(f"{size_text(sum(one.nbytes for one in found))} in {cache_dir()}")


def find_predefined(catalog: Catalog) -> list[Predefined]:
    """The specs that name a checkpoint, with the comment that their file begins with. One that
    cannot be read is left out: `plugins list` tells of it."""
    found: list[Predefined] = []
    for name in catalog.names("spec"):
        try:
            file = read_entry(name, catalog)
            first = catalog.get("spec", name).read_text("utf-8").partition("\n")[0]
        except (InferflowError, OSError):
            continue
        weights = file.root.get("weights")
        path = weights.get("path") if isinstance(weights, Section) else None
        if isinstance(path, Leaf):
            about = printable(first.lstrip("# ")) if first.startswith("#") else ""
            found.append(Predefined(name, file.extends or "", str(path.value), about))
    return found
