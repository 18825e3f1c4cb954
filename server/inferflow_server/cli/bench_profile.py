"""Where a prefill and the decode steps go, op by op."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from inferflow_core.errors import UsageError
from inferflow_core.interfaces import Engine, OpTime, Profiled
from inferflow_server.cli.output import print_columns

BETWEEN = "between ops: Python, sampling"


@dataclass
class Phases:
    """Takes the profile when a phase ends: in the engine's thread, between two steps."""

    engine: Engine
    taken: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    """Phase -> its ops, the longest first, and what was between them."""
    _start: float = 0.0

    def begin(self) -> None:
        """Raises UsageError where the backend does not tell."""
        if not isinstance(self.engine, Profiled):
            raise UsageError("--profile: this engine does not tell where a step goes")
        self.engine.profile()
        self._start = time.perf_counter()

    def end(self, phase: str) -> None:
        """The next phase begins here."""
        assert isinstance(self.engine, Profiled)
        ops, now = self.engine.profile(), time.perf_counter()
        seconds, self._start = now - self._start, now
        self.taken[phase] = _shares(ops, seconds) if ops else []

    def show(self, heading: str) -> None:
        """A table for each phase."""
        for phase, ops in self.taken.items():
            rows = [
                [
                    *(op["op"], op["path"], str(op["calls"])),
                    *(f"{1000 * op['seconds']:.2f}", f"{100 * op['share']:.1f} %"),
                ]
                for op in ops
            ] or [["the backend does not tell", "", "", "", ""]]
            print_columns([[f"{heading}{phase}", "block", "calls", "ms", "share"], *rows])


def _shares(ops: Sequence[OpTime], seconds: float) -> list[dict[str, Any]]:
    rest = seconds - sum(op.seconds for op in ops)
    every = [*ops, OpTime(BETWEEN, "", 1, rest)]
    return [
        {
            "op": op.op,
            "path": op.path,
            "calls": op.calls,
            "seconds": op.seconds,
            "share": op.seconds / seconds,
        }
        for op in every
    ]
