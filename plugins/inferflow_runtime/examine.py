"""What `inferflow doctor` says of memory and backends."""

from inferflow_core.catalog import HOME, Catalog
from inferflow_core.errors import PluginError
from inferflow_core.interfaces import Backend, ExaminedBackend, Finding
from inferflow_runtime.backend import choose_backend
from inferflow_runtime.sizes import GROUPS, free_memory, read, total_memory

LITTLE = 1_000_000_000
"""Bytes; below it only small models fit."""


def examine(catalog: Catalog) -> list[Finding]:
    return [_memory(), *_backends(catalog), _choice(catalog)]


def _memory() -> Finding:
    total, free = total_memory(), free_memory()
    limit = read(GROUPS / "memory.max").strip()
    bound = int(limit) if limit.isdigit() else None
    facts = {"total": total, "free": free, "limit": bound}
    if free is None or total is None:
        text = "this system does not tell; run.cache_tokens bounds the cache"
        return Finding("memory", "warning", text, facts=facts)
    text = f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB"
    if bound is not None:
        text += f"; this container may take {bound / 1e9:.1f} GB"
    if free < LITTLE:
        help = "`inferflow plan MODEL` says what fits"
        return Finding("memory", "warning", text, help=help, facts=facts)
    return Finding("memory", "ok", text, facts=facts)


def _backends(catalog: Catalog) -> list[Finding]:
    """Each backend, and what it says of itself. One that does not work is no problem: others do."""
    found: list[Finding] = []
    for entry in catalog.entries("backend"):
        what = f"backend {entry.name}"
        try:
            backend: Backend = catalog.get("backend", entry.name)(catalog)
            problem = backend.available()
            more = backend.examine() if not problem and isinstance(backend, ExaminedBackend) else ()
        except Exception as error:
            # A backend of a third party must not keep the doctor from the others.
            message = error.message if isinstance(error, PluginError) else repr(error)
            found.append(Finding(what, "warning", " ".join(message.split())))
            continue
        if problem:
            found.append(Finding(what, "warning", f"does not work here: {problem}"))
        else:
            text = "works" if entry.distribution == HOME else f"works ({entry.distribution})"
            found += [Finding(what, "ok", text), *more]
    return found


def _choice(catalog: Catalog) -> Finding:
    try:
        backend, why = choose_backend("auto", catalog)
    except PluginError as error:
        return Finding(
            "backend = auto",
            "problem",
            error.message,
            help="numpy comes with inferflow-core: install it anew",
        )
    return Finding("backend = auto", "ok", f"takes {why}", facts={"backend": backend.name})
