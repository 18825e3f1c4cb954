"""The engine's requests that belong to one request of a client, and their events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING

from inferflow_core.errors import InferflowError
from inferflow_core.interfaces import Request, Stream, TokenEvent
from inferflow_server.http.errors import APIError, unavailable

if TYPE_CHECKING:
    from inferflow_server.http.service import Service

SILENCE_S = 10.0


class Mailbox:
    """Wakes batches in the event loop, all that a step of the engine has events for at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Batch] = deque()
        self._is_coming = False

    def notify(self, batch: Batch) -> None:
        """Called in the engine's thread. Late events of a cancelled request may find the loop
        closed."""
        self._waiting.append(batch)
        if not self._is_coming and not self._loop.is_closed():
            self._is_coming = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_coming = False
        while self._waiting:
            self._waiting.popleft().wake()


class Batch:
    """The engine's requests that belong to one request of a client."""

    def __init__(self, service: Service, requests: Sequence[Request]) -> None:
        self._service = service
        self._requests = requests
        self._loop = asyncio.get_running_loop()
        self._mailbox = service.mailbox
        self._events: deque[tuple[int, TokenEvent]] = deque()
        self._waiter: asyncio.Future[bool] | None = None
        self._streams: list[Stream] = []
        try:
            for index, request in enumerate(requests):
                self._streams.append(service.model.engine.submit(request, self._sink(index)))
        except InferflowError:
            self.cancel()
            raise

    def _sink(self, index: int) -> Callable[[TokenEvent], None]:
        def sink(event: TokenEvent) -> None:
            self._events.append((index, event))
            self._mailbox.notify(self)

        return sink

    def wake(self, *, came: bool = True) -> None:
        """Ends the wait for events: some came, or none did for a while."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(came)

    async def _some_came(self) -> bool:
        """Waits for an event; False after SILENCE_S seconds of nothing."""
        if self._events:
            return True
        self._waiter = self._loop.create_future()
        limit = self._loop.call_later(SILENCE_S, lambda: self.wake(came=False))
        try:
            return await self._waiter
        finally:
            limit.cancel()

    async def events(self) -> AsyncGenerator[tuple[int, TokenEvent] | None, None]:
        """(which request, its event) until all have finished; None after SILENCE_S seconds of
        nothing. Raises APIError where one ends by an error."""
        left = len(self._streams)
        try:
            while left:
                if not await self._some_came():
                    if not self._service.model.engine.stats().alive:
                        raise unavailable("the engine has stopped")
                    yield None
                    continue
                if not self._events:
                    continue
                index, event = self._events.popleft()
                if event.finish is not None:
                    left -= 1
                    self._finished(index, event)
                yield index, event
        finally:
            self.close()

    def _finished(self, index: int, event: TokenEvent) -> None:
        service = self._service
        service.hooks.call(
            "inferflow_request_finished",
            model=service.model,
            request=self._requests[index],
            event=event,
        )
        if event.finish == "error":
            if not service.model.engine.stats().alive:
                raise unavailable(event.error or "the engine has stopped")
            raise APIError(500, event.error or "the generation failed", "server_error")
        if event.finish == "cancelled":
            raise unavailable("the server is shutting down")

    def cancel(self) -> None:
        for stream in self._streams:
            stream.cancel()

    def close(self) -> None:
        """Ends what still runs; safe to call twice."""
        self.cancel()
        self._service.running.discard(self)
