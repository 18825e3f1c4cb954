"""What `plugins check` finds out about a distribution and its entries."""

import importlib.metadata
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inferflow_core.catalog import DATA_KINDS, HOME, Catalog, Entry
from inferflow_core.errors import PluginError
from inferflow_core.spec.entries import BLOCK_KINDS
from inferflow_core.spec.field_types import article
from inferflow_core.testing.interface import interface_problems
from inferflow_core.version import __version__
from inferflow_server.cli.output import imports
from inferflow_server.cli.plugin_import import import_alone

SLOW_S = 1.0

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the report; `kind` and `name` are empty where it is about the distribution."""

    level: Level
    distribution: str
    kind: str
    name: str
    check: str
    message: str


def findings(distribution: str, entries: Sequence[Entry], catalog: Catalog) -> Iterator[Finding]:
    """All that is found of one distribution, the good too."""
    if distribution != HOME:
        level, message = requirement(importlib.metadata.requires(distribution) or [])
        yield Finding(level, distribution, "", "", "version", message)
        prefixes = sorted({e.name.partition(".")[0] for e in entries if "." in e.name})
        if len(prefixes) > 1:
            message = f"its names have several prefixes: {', '.join(prefixes)}"
            yield Finding("warning", distribution, "", "", "names", message)
    for entry in entries:
        for level, check, message in _entry(entry, catalog):
            yield Finding(level, distribution, entry.kind, entry.name, check, message)


def _entry(entry: Entry, catalog: Catalog) -> Iterator[tuple[Level, str, str]]:
    if entry.problem:
        yield "problem", "name", entry.problem
        return
    yield "ok", "name", "may be used in specs"
    if entry.kind not in DATA_KINDS and entry.distribution != HOME:
        result = import_alone(entry.value.partition(":")[0], arrays=entry.kind not in BLOCK_KINDS)
        if result.problem:
            yield "problem", "import", result.problem
            return
        level: Level = "warning" if result.seconds > SLOW_S else "ok"
        yield level, "import", f"takes {result.seconds:.2f} s"
        if result.noise:
            yield "warning", "import", f"prints when it is imported: {result.noise[:60]!r}"
        if result.heavy and entry.kind in BLOCK_KINDS:
            names = ", ".join(result.heavy)
            yield "problem", "import", f"a block computes with `ops`, and this one imports {names}"
    try:
        with imports():
            obj = catalog.get(entry.kind, entry.name)
    except PluginError as error:
        yield "problem", "interface", " ".join(error.message.split())
        return
    wrong = list(interface_problems(entry.kind, entry.name, obj, catalog))
    for message in wrong:
        yield "problem", "interface", " ".join(message.split())
    if not wrong:
        yield "ok", "interface", f"is that of {article(entry.kind)}"
    if isinstance(obj, type):
        yield from _class(obj)


def _class(obj: Any) -> Iterator[tuple[Level, str, str]]:
    if not isinstance(getattr(obj, "api", None), int):
        yield "warning", "api", "does not say for which interface it is written: `api = 1`"
    own = vars(obj).get("__doc__") or ""
    generated = own.startswith(f"{obj.__name__}(")  # what dataclasses write where there is none
    if not own.strip() or generated:
        yield "warning", "docstring", "is missing; `inferflow plugins show` prints it"
    else:
        yield "ok", "docstring", inspect.cleandoc(own).splitlines()[0]


def requirement(requires: Sequence[str]) -> tuple[Level, str]:
    """What a distribution's requirements say of inferflow-core."""
    found = [each.partition(";")[0].strip() for each in requires if "extra ==" not in each]
    named = {re.split(r"[^\w.-]", each)[0].lower().replace("_", "-"): each for each in found}
    if "inferflow" in named:
        return "problem", "requires `inferflow`, which is somebody else's package: inferflow-core"
    written = named.get(HOME)
    if written is None:
        return "problem", f"does not require {HOME}: add a requirement with bounds"
    bounds = re.findall(r"(>=|<=|==|!=|~=|>|<)\s*([\d.]+)", written)
    if not all(_holds(operator, version) for operator, version in bounds):
        return "problem", f"requires {written}; installed is {__version__}"
    if not any(operator in ("<", "<=", "==", "~=") for operator, _ in bounds):
        return "warning", f"requires {written}: without an upper bound it meets every later change"
    return "ok", f"requires {written}"


def _holds(operator: str, version: str) -> bool:
    """Whether the installed inferflow-core keeps a bound, as far as release numbers say."""
    here, there = _numbers(__version__), _numbers(version)
    width = max(len(here), len(there))
    short = there[:-1]
    here, there = (each + [0] * (width - len(each)) for each in (here, there))
    match operator:
        case ">=":
            return here >= there
        case "<=":
            return here <= there
        case ">":
            return here > there
        case "<":
            return here < there
        case "!=":
            return here != there
        case "~=":
            return here >= there and here[: len(short)] == short
        case _:
            return here == there


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
