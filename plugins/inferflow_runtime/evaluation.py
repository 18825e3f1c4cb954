"""An evaluation: a program's output for every token of a sequence, or for the sequence."""

from concurrent.futures import Future
from typing import Any

import numpy as np

from inferflow_core.errors import EngineError

Array = np.ndarray[Any, np.dtype[Any]]


class Evaluation:
    """The task of one evaluated sequence; `result` becomes float32 [length, width], or [width]."""

    every_row = True

    def __init__(self, output: str) -> None:
        self.output = output
        self.cancelled = False
        self.result: Future[Array] = Future()
        self._parts: list[Array] = []

    def accept(self, rows: Array) -> None:
        """The next tokens' rows, or the sequence's one, which the program may overwrite."""
        self._parts.append(np.array(rows, np.float32))

    def finish(self) -> None:
        self.result.set_result(np.concatenate(self._parts))

    def restart(self) -> None:
        self._parts.clear()

    def end(self, reason: str, error: str | None = None) -> None:
        self.result.set_exception(EngineError(error or f"the evaluation was {reason}"))
