"""The caller's side of a running request."""

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

from inferflow_core.errors import EngineError
from inferflow_core.interfaces import TokenEvent

LOOK_S = 1.0
"""How often a waiting reader makes sure that the engine lives."""


class EventStream:
    """Iterate its events, once; or cancel it."""

    def __init__(
        self,
        id: int,
        events: SimpleQueue[TokenEvent] | None,
        *,
        cancel: Callable[[], None],
        engine_lives: Callable[[], bool],
    ) -> None:
        self.id = id
        self.cancel = cancel
        """Asks for the end: the last event comes within a step. After the end, nothing."""
        self._events = events
        self._engine_lives = engine_lives
        self._ended = False

    def __iter__(self) -> Iterator[TokenEvent]:
        """Raises EngineError where a sink reads the events, or the engine's thread is gone."""
        if self._events is None:
            raise EngineError("the events of this request go to its sink")
        while not self._ended:
            try:
                event = self._events.get(timeout=LOOK_S)
            except Empty:
                if not self._engine_lives() and self._events.empty():
                    raise EngineError("the engine's thread has ended") from None
                continue
            self._ended = event.finish is not None
            yield event
