"""Which family a folder or file belongs to: the `match` of every spec against its config."""

from collections.abc import Mapping
from typing import Any

from inferflow_core.catalog import HOME, Catalog
from inferflow_core.errors import PluginError, SpecError, UnknownEntry, nearest
from inferflow_core.spec.merge import read_entry
from inferflow_core.spec.reader import Match


def find_family(config: Mapping[str, Any], source: str, catalog: Catalog) -> str:
    """The name of the spec whose `match` fits with most keys.

    Our own families come first: those of plugins are read only where none of ours fits, so that
    installing one changes no model that works, and a broken one matters to nobody else.
    Raises SpecError for a tie and UnknownEntry where nothing fits.
    """
    entries = catalog.entries("spec")
    ours = [entry.name for entry in entries if entry.distribution == HOME]
    others = [entry.name for entry in entries if entry.distribution != HOME]
    seen: set[Any] = set()
    unread: list[str] = []
    for names in (ours, others):
        scores: dict[str, int] = {}
        for name in names:
            try:
                matches = read_entry(name, catalog).match
            except (PluginError, SpecError):
                unread.append(name)
                continue
            seen.update(value for one in matches for value in one.get("model_type", ()))
            scores[name] = max((_keys(one, config, source) for one in matches), default=0)
        best = max(scores.values(), default=0)
        winners = sorted(name for name, score in scores.items() if score == best)
        if best and len(winners) == 1:
            return winners[0]
        if best:
            raise UnknownEntry(
                f"the specs {' and '.join(repr(name) for name in winners)} both match this model "
                f"with {best} key{'s' if best > 1 else ''}",
                hint=f"name the one to use: --spec {winners[0]}",
            )
    kind = config.get("model_type")
    what = f"model_type {kind!r}" if isinstance(kind, str) else "a model without model_type"
    close = nearest(kind, [str(one) for one in seen]) if isinstance(kind, str) else ""
    broken = f" These could not be read: {', '.join(unread)}." if unread else ""
    raise UnknownEntry(
        f"no spec matches {what[:80]} (source {source}).{close}{broken}",
        hint="give one: --spec NAME or --spec FILE.toml",
    )


def _keys(match: Match, config: Mapping[str, Any], source: str) -> int:
    """How many keys of a match table fit, 0 unless all do."""
    for key, accepted in match.items():
        value = source if key == "source" else config.get(key)
        if not any(_fits(one, value) for one in accepted):
            return 0
    return len(match)


def _fits(wanted: Any, value: Any) -> bool:
    if wanted == "present":
        return value is not None
    if wanted == "absent":
        return value is None
    return wanted == value and isinstance(wanted, bool) == isinstance(value, bool)
