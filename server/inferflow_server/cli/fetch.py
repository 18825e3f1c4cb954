"""Sees to it that a model's files are here, before anything opens them.

A predefined model is fetched when it is first used: it was chosen when its package was installed.
A spec that is somebody's file, or a reference in the place of a model, is not: it asks first.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from inferflow_core import store
from inferflow_core.catalog import Catalog
from inferflow_core.errors import SourceError
from inferflow_core.interfaces import Source
from inferflow_core.sources import source_of, source_of_spec
from inferflow_core.spec import Spec, read_spec
from inferflow_core.spec.nodes import Leaf, Section
from inferflow_core.spec.overrides import apply_overrides
from inferflow_core.spec.problems import Problems
from inferflow_server.cli.options import ModelOptions
from inferflow_server.cli.output import note, progress_bar


@dataclass(frozen=True)
class Remote:
    """Where a model's files come from. `trusted`: its spec is installed, not a loose file."""

    source: Source
    reference: str
    sha256: str | None
    trusted: bool

    def locate(self) -> Path | None:
        return self.source.locate(self.reference, sha256=self.sha256)


def fetch(options: ModelOptions, catalog: Catalog) -> Path | None:
    """The local folder of a model that comes from a source, fetched if need be; None for a model
    that lies where its spec or reference says. Raises SourceError."""
    remote = find_remote(options.reference, options.set, catalog)
    if remote is None:
        return None
    return remote.locate() or obtain(remote, options)


def obtain(remote: Remote, options: ModelOptions) -> Path:
    """Pulls, unless that is forbidden or not allowed. Raises SourceError, click.Abort."""
    if options.offline:
        raise SourceError(
            f"{remote.reference} is not in the cache, and --offline forbids fetching it",
            hint=f"inferflow pull {options.reference}",
        )
    if not (remote.trusted or options.yes):
        _ask(options.reference, remote.reference)
    with progress_bar(f"Fetching {remote.reference}", unit="bytes") as progress:
        path = remote.source.pull(remote.reference, sha256=remote.sha256, progress=progress)
    note(f"Fetched {remote.reference}")
    kept = store.holding(path)
    if kept is not None and not remote.source.pinned(remote.reference):
        note(f"It is {kept.reference} now: in a spec, write that.")
    return path


def find_remote(reference: str, overrides: Sequence[str], catalog: Catalog) -> Remote | None:
    """What the reference, or `[weights] path` of its spec, says, if that is a source other than
    this machine. Raises SpecError, SourceError."""
    spec = read_if_spec(reference, catalog)
    if spec is None:
        source = source_of(reference, catalog)
        return _unless_local(source, reference, sha256=None, trusted=False)
    changes = [pair for pair in overrides if pair.startswith("weights.")]
    problems = Problems()
    weights = apply_overrides(spec.root, changes, problems).get("weights")
    problems.raise_if_any(spec.label)
    source = source_of_spec(weights, catalog, spec=spec.label)
    trusted = reference in catalog.names("spec") and not changes
    path = _text(weights, "path") or ""
    return _unless_local(source, path, sha256=_text(weights, "sha256"), trusted=trusted)


def _unless_local(
    source: Source | None, reference: str, *, sha256: str | None, trusted: bool
) -> Remote | None:
    if source is None or reference.startswith("local:"):
        return None
    return Remote(source, reference, sha256, trusted)


def read_if_spec(reference: str, catalog: Catalog) -> Spec | None:
    """The spec of a predefined name or a `.toml` file; None for a checkpoint."""
    if reference in catalog.names("spec"):
        return read_spec(reference, catalog)
    if Path(reference).suffix == ".toml" and source_of(reference, catalog) is None:
        return read_spec(Path(reference), catalog)
    return None


def spec_without_files(options: ModelOptions, catalog: Catalog) -> Spec | None:
    """The spec alone, where there is no checkpoint to go with it: a family's, or that of a model
    that has not been fetched."""
    spec = read_if_spec(options.reference, catalog)
    if spec is None:
        return None
    remote = find_remote(options.reference, options.set, catalog)
    if remote is not None:
        return spec if remote.locate() is None else None
    changed = any(pair.startswith("weights.path") for pair in options.set)
    return None if changed or _text(spec.root.get("weights"), "path") is not None else spec


def _text(weights: Any, key: str) -> str | None:
    leaf = weights.get(key) if isinstance(weights, Section) else None
    return leaf.value if isinstance(leaf, Leaf) and isinstance(leaf.value, str) else None


def _ask(spec: str, reference: str) -> None:
    """Raises SourceError where nobody can answer, and click.Abort where the answer is no."""
    what = f"{reference} is not here" if spec == reference else f"{spec} wants to fetch {reference}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SourceError(f"{what}, and nobody is here to allow it", hint="--yes allows it")
    click.confirm(f"{what}. Fetch it?", err=True, abort=True)
