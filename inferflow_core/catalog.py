"""The catalog: which names exist, read from entry-point metadata without importing anything.

An entry is loaded when it is first asked for, and only that one. A broken plugin therefore breaks
nobody who does not name it; `entries()` says what state each is in.
"""

import importlib
import importlib.metadata
import logging
import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from typing import Any

from inferflow_core.errors import BrokenEntry, EntryNotInstalled, UnknownEntry, nearest

API = 1
"""Major version of the plugin interfaces; a class with another `api` attribute is refused."""

HOME = "inferflow-core"
"""The distribution that undotted entry names belong to."""

GROUPS = {
    **{
        kind: f"inferflow.blocks.{kind}"
        for kind in (
            *("norm", "position", "mixer", "ffn", "router", "layer", "embedding", "head", "model"),
        )
    },
    "loader": "inferflow.loaders",
    "names": "inferflow.names",
    "source": "inferflow.sources",
    "format": "inferflow.formats",
    "op": "inferflow.ops",
    "kernel": "inferflow.kernels",
    "backend": "inferflow.backends",
    "pass": "inferflow.passes",
    "sampler": "inferflow.samplers",
    "tokenizer": "inferflow.tokenizers",
    "engine": "inferflow.engines",
    "spec": "inferflow.specs",
    "hook": "inferflow.hooks",
}
"""Kind -> entry-point group."""

DATA_KINDS = frozenset({"spec", "names"})
"""Kinds whose entries are TOML files (`package:file.toml`), not Python objects."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One registered name. `problem` is empty when nothing is known to be wrong with it."""

    kind: str
    name: str
    value: str
    distribution: str
    version: str
    problem: str = ""

    @property
    def status(self) -> str:
        return "ok" if not self.problem else self.problem


class Catalog:
    """Names by kind. `Catalog()` reads the installed entry points; tests may pass `entries=[]`."""

    def __init__(
        self, entries: Iterable[Entry] | None = None, *, disabled: Iterable[str] | None = None
    ) -> None:
        if disabled is None:
            disabled = os.environ.get("INFERFLOW_DISABLE", "").split(",")
        self._given = None if entries is None else list(entries)
        self._disabled = {name.strip() for name in disabled if name.strip()}
        self._objects: dict[tuple[str, str], Any] = {}

    @cached_property
    def _index(self) -> dict[tuple[str, str], list[Entry]]:
        index: dict[tuple[str, str], list[Entry]] = {}
        for entry in _installed() if self._given is None else self._given:
            if entry.distribution in self._disabled:
                entry = replace(entry, problem="disabled by INFERFLOW_DISABLE")
            index.setdefault((entry.kind, entry.name), []).append(entry)
        for rivals in index.values():
            if len(rivals) > 1:
                names = " and ".join(sorted({rival.distribution for rival in rivals}))
                rivals[:] = [replace(r, problem=f"claimed by {names}") for r in rivals]
        return index

    def add(self, kind: str, name: str, obj: Any) -> None:
        """Registers an object in this process: for tests, notebooks and embedding."""
        if (kind, name) in self._index:
            raise BrokenEntry(f"{kind} {name!r} is already registered")
        entry = Entry(kind, name, f"{getattr(obj, '__module__', '')}", "(this process)", "")
        self._index[(kind, name)] = [entry]
        self._objects[(kind, name)] = obj

    def entries(self, kind: str | None = None) -> list[Entry]:
        """All entries, sorted by kind and name. Imports nothing."""
        found = [e for rivals in self._index.values() for e in rivals if kind in (None, e.kind)]
        return sorted(found, key=lambda e: (e.kind, e.name, e.distribution))

    def names(self, kind: str) -> list[str]:
        return sorted(name for k, name in self._index if k == kind)

    def get(self, kind: str, name: str) -> Any:
        """The object (for data kinds: the path of the TOML file) registered under a name.

        Raises UnknownEntry, EntryNotInstalled or BrokenEntry, each saying what would help.
        """
        if (kind, name) not in self._objects:
            self._objects[(kind, name)] = self._load(self.entry(kind, name))
        return self._objects[(kind, name)]

    def entry(self, kind: str, name: str) -> Entry:
        """The entry of a name, without importing it. Raises like `get`."""
        rivals = self._index.get((kind, name))
        if rivals is None:
            raise self._unknown(kind, name)
        entry = rivals[0]
        if entry.problem:
            raise BrokenEntry(
                f"{kind} {name!r} of {entry.distribution} {entry.version} cannot be used: "
                f"{entry.problem}",
                hint=f"uninstall one of them, or set INFERFLOW_DISABLE={entry.distribution}"
                if entry.problem.startswith("claimed")
                else None,
            )
        return entry

    def _unknown(self, kind: str, name: str) -> UnknownEntry | EntryNotInstalled:
        elsewhere = sorted(k for k, n in self._index if n == name)
        if elsewhere:
            other = elsewhere[0]
            return UnknownEntry(f"{name!r} is {_article(other)}, not {_article(kind)}")
        distribution = known().get(kind, {}).get(name)
        if distribution is not None:
            installed = any(e.distribution == distribution for e in self.entries())
            upgrade = "--upgrade " if installed else ""
            version = "another version of " if installed else ""
            return EntryNotInstalled(
                f"no {kind} named {name!r} is installed. It is provided by {version}"
                f"{distribution}: pip install {upgrade}{distribution}"
            )
        names = self.names(kind)
        listed = f" (have: {', '.join(names)})" if 0 < len(names) <= 12 else ""
        return UnknownEntry(f"no {kind} named {name!r}.{nearest(name, names)}{listed}")

    def _load(self, entry: Entry) -> Any:
        title = f"{entry.distribution} {entry.version}"
        module_name, _, attribute = entry.value.partition(":")
        try:
            if entry.kind in DATA_KINDS:
                return files(module_name) / attribute
            obj = importlib.import_module(module_name)
            for part in attribute.split("."):
                obj = getattr(obj, part)
        except (Exception, SystemExit) as cause:
            raise BrokenEntry(
                f"{entry.kind} {entry.name!r} of {title} failed to import: "
                f"{type(cause).__name__}: {cause}",
                hint="`inferflow plugins list` shows the state of every plugin",
            ) from cause
        api = getattr(obj, "api", API)
        if api != API:
            raise BrokenEntry(
                f"{entry.kind} {entry.name!r} of {title} is written for plugin interface {api}; "
                f"this inferflow-core has {API}"
            )
        if advice := _deprecated(obj):
            log.warning("%s %r (%s) is deprecated: %s", entry.kind, entry.name, title, advice)
        return obj


def _installed() -> list[Entry]:
    """Every entry point of our groups; of two copies of a distribution, the first on the path."""
    kinds = {group: kind for kind, group in GROUPS.items()}
    entries: list[Entry] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        name, version = name_and_version(distribution)
        if name in seen:
            continue
        seen.add(name)
        for point in distribution.entry_points:
            if point.group not in kinds:
                continue
            problem = ""
            if name != HOME and "." not in point.name:
                problem = f"undotted names belong to {HOME}; call it 'yourprefix.{point.name}'"
            kind = kinds[point.group]
            entries.append(Entry(kind, point.name, point.value, name, version, problem))
    return entries


def name_and_version(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """From the two lines that say it: `distribution.name` and `.version` parse all headers and the
    readme below them, each time, which made opening a catalog ten times as slow."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    headers = text.partition("\n\n")[0]
    found = dict(reversed(re.findall(r"^(Name|Version): *(.*?) *$", headers, re.MULTILINE)))
    return found.get("Name", ""), found.get("Version", "")


def _deprecated(obj: Any) -> str:
    """What an object says of its end: a class in its own `deprecated`, not in a base's."""
    advice = (
        vars(obj).get("deprecated") if isinstance(obj, type) else getattr(obj, "deprecated", "")
    )
    return advice if isinstance(advice, str) else ""


def known() -> dict[str, dict[str, str]]:
    """known.toml: kind -> name -> the distribution of a third party that provides it."""
    return tomllib.loads(files("inferflow_core").joinpath("known.toml").read_text("utf-8"))


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' or kind == 'ffn' else 'a'} {kind}"
