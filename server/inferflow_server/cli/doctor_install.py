"""Findings on the processor, what is installed, the cache of models, and plugins."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from inferflow_core import store
from inferflow_core.cache import cache_dir
from inferflow_core.catalog import HOME, Catalog
from inferflow_core.errors import InferflowError
from inferflow_core.interfaces import Finding
from inferflow_core.version import __version__
from inferflow_server.cli.output import size_text
from inferflow_server.cli.plugins_list import status

LITTLE_DISK = 2_000_000_000
NAME = re.compile(r"[A-Za-z0-9._-]+")


def processor() -> Iterator[Finding]:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    count = os.cpu_count()
    model = _model_name()
    text = f"{model} ({platform.machine()}), {count} processors"
    if allowed is not None and allowed != count:
        text += f", {allowed} of them for this process"
    facts = {"model": model, "machine": platform.machine(), "system": platform.platform()}
    yield Finding("processor", "ok", text, facts=facts | {"count": count, "allowed": allowed})


def _model_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def installation() -> Iterator[Finding]:
    """Python, and the libraries that this distribution asks for on this system."""
    python = f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}"
    yield Finding("python", "ok", python)
    required, optional = _requirements()
    versions = {name: _version(name) for name in (*required, *optional)}
    missing = [name for name in required if versions[name] is None]
    there = [f"{name} {version}" for name, version in versions.items() if version is not None]
    text = f"{HOME} {__version__}; {', '.join(there)}"
    yield Finding("libraries", "ok", text, facts={HOME: __version__, **versions})
    for name in missing:
        # numba has no wheels on some systems, and numpy serves there.
        state = "warning" if name == "numba" else "problem"
        yield Finding(f"library {name}", state, "is not installed", help=f"pip install {name}")


def _requirements() -> tuple[list[str], list[str]]:
    """Names of what must be there, and of what extras for users ask for."""
    required: list[str] = []
    optional: list[str] = []
    for line in importlib.metadata.requires(HOME) or ():
        found = NAME.match(line)
        if found is not None and "extra ==" not in line:
            required.append(found[0])
        elif found is not None and re.search(r"extra == ['\"](hub|torch|cuda\d*)['\"]", line):
            optional.append(found[0])
    return required, [name for name in dict.fromkeys(optional) if name not in required]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def model_cache() -> Iterator[Finding]:
    """The folder of fetched models: what is in it, and whether more can be put there."""
    path, what = cache_dir(), "model cache"
    above = path
    while not above.exists() and above != above.parent:
        above = above.parent
    try:
        kept = store.kept()
        free = shutil.disk_usage(above).free
    except (OSError, InferflowError) as error:
        help = "INFERFLOW_CACHE names another folder"
        yield Finding(what, "problem", f"{path}: {error}", help=help)
        return
    size = sum(each.nbytes for each in kept)
    facts = {"path": str(path), "models": len(kept), "bytes": size, "free_disk": free}
    text = f"{path}, {len(kept)} models, {size_text(size)}; {size_text(free)} of disk are free"
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        yield Finding(
            what,
            "problem",
            f"{path} cannot be written",
            help="INFERFLOW_CACHE names another folder",
            facts=facts,
        )
    elif free < LITTLE_DISK:
        help = "`inferflow ls` lists what is there, `inferflow rm` makes room"
        yield Finding(what, "warning", text, help=help, facts=facts)
    else:
        yield Finding(what, "ok", text, facts=facts)
    for each in kept:
        if each.state in ("incomplete", "damaged"):
            yield Finding(
                f"model {each.reference}",
                "warning",
                f"is {each.state}",
                help=f"inferflow pull {each.reference} goes on; inferflow rm takes it away",
            )


def plugins(catalog: Catalog) -> Iterator[Finding]:
    """Entries of other distributions. A broken one breaks nothing that does not name it."""
    entries = [each for each in catalog.entries() if each.distribution != HOME]
    broken = [(each, state) for each in entries if (state := status(catalog, each)) != "ok"]
    names = sorted({each.distribution for each in entries})
    text = f"{len(entries)} entries of {len(names)} other distributions, {len(broken)} broken"
    yield Finding("plugins", "ok", text, facts={"entries": len(entries), "distributions": names})
    for entry, state in broken:
        what = f"plugin {entry.name}"
        help = f"install {entry.distribution} anew, or set INFERFLOW_DISABLE={entry.distribution}"
        yield Finding(what, "warning", state, help="" if "INFERFLOW_DISABLE" in state else help)
