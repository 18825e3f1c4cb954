"""What the processor can do, how many threads run, and where the compiled kernels are."""

from __future__ import annotations

import os
from pathlib import Path

from inferflow_backends.cpu.isa import dot4_name, features
from inferflow_backends.cpu.kernel_cache import candidates
from inferflow_backends.cpu.threads import allowed_processors, default_threads, quota
from inferflow_core.interfaces import Finding

OF_INTEREST = ("avx2", "fma", "f16c", "avx512f", "avx512vnni", "avx512bf16", "avxvnni", "amx-int8",
               "neon", "dotprod", "sve")  # fmt: skip


def findings() -> list[Finding]:
    return [_instructions(), _threads(), _kernels()]


def _instructions() -> Finding:
    found = [name for name in OF_INTEREST if name in features()]
    way = dot4_name()
    facts = {"features": found, "integer_dot_product": way}
    text = f"{', '.join(found) or 'none that matter'}; integer products by {way}"
    if way == "generic":
        return Finding(
            "cpu: instructions",
            "warning",
            text,
            help="packed weights are slow on this processor; float32 ones are not",
            facts=facts,
        )
    return Finding("cpu: instructions", "ok", text, facts=facts)


def _threads() -> Finding:
    threads, processors, most = default_threads(), len(allowed_processors()), quota()
    facts = {"threads": threads, "processors": processors, "quota": most}
    text = f"{threads}, one for each processor that may be used"
    if most is not None and threads < processors:
        text = f"{threads} on {processors} processors: the container has time for {most:g}"
    return Finding("cpu: threads", "ok", text, facts=facts)


def _kernels() -> Finding:
    """The first folder that is there or could be made; the others are where it falls back to."""
    what = "cpu: compiled kernels"
    paths = candidates()
    path = next((each for each in paths if _writable(each)), None)
    if path is None:
        return Finding(
            what,
            "problem",
            f"{paths[0]} cannot be written, nor what comes after it",
            help="set INFERFLOW_KERNEL_CACHE to a folder that can",
        )
    size = sum(file.stat().st_size for file in path.glob("*/*") if file.is_file())
    others = [each for each in path.parent.glob("kernels-*") if each != path]
    facts = {"path": str(path), "exists": path.exists(), "bytes": size, "older": len(others)}
    there = f"{size / 1e6:.1f} MB" if size else "empty: the first start compiles, some ten seconds"
    text = f"{path}, {there}"
    if path != paths[0]:
        return Finding(
            what,
            "warning",
            f"{text}; {paths[0].parent} cannot be written",
            help="kernels in a temporary folder are compiled anew when it is emptied",
            facts=facts,
        )
    old = f"{len(others)} folders of other versions beside it may be deleted" if others else ""
    return Finding(what, "ok", text, help=old, facts=facts)


def _writable(path: Path) -> bool:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
