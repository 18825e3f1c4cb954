"""Importing a plugin in a process of its own: it may be slow, noisy, or end the program."""

import json
import subprocess
import sys
from dataclasses import dataclass

LIMIT_S = 60.0

PROBE = """
import json, sys, time
import inferflow_core.block, inferflow_core.interfaces
if sys.argv[2] == "arrays":
    import numpy
start = time.perf_counter()
__import__(sys.argv[1])
seconds = time.perf_counter() - start
heavy = [name for name in ("numpy", "torch", "cupy", "numba", "jax") if name in sys.modules]
print("\\n" + json.dumps({"seconds": seconds, "heavy": heavy}))
"""


@dataclass(frozen=True)
class Imported:
    """How an import went. `seconds` do not count numpy and the core, where the plugin may use
    numpy; `heavy` are the array libraries that are loaded after it."""

    problem: str = ""
    seconds: float = 0.0
    heavy: tuple[str, ...] = ()
    noise: str = ""


def import_alone(module: str, *, arrays: bool) -> Imported:
    """Imports a module in a fresh interpreter, with numpy there already if `arrays`."""
    command = [sys.executable, "-P", "-c", PROBE, module, "arrays" if arrays else "none"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return Imported(f"importing {module} takes more than {LIMIT_S:.0f} s")
    noise, _, last = done.stdout.strip().rpartition("\n")
    try:
        report = json.loads(last)
    except ValueError:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        return Imported(f"importing {module} fails: {said}")
    return Imported("", report["seconds"], tuple(report["heavy"]), noise.strip())
