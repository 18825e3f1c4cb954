"""A generation: from the tokens drawn for a request to its events."""

import logging
from collections.abc import Callable

from inferflow_core.interfaces import Request, StreamDecoder, TokenEvent
from inferflow_runtime.stop import StopText

log = logging.getLogger(__name__)


class Generation:
    """The task of one request, used in the engine's thread. `deliver` gets its events."""

    every_row = False
    output = "logits"

    def __init__(
        self,
        request: Request,
        *,
        values: tuple[float, ...],
        seed: int,
        stop_ids: frozenset[int],
        most_tokens: int,
        decoder: StreamDecoder | None,
        deliver: Callable[[TokenEvent], None],
    ) -> None:
        self.request = request
        self.values = values
        self.seed = seed
        self.cancelled = False
        self.finished = False
        self.count = 0
        """Tokens drawn so far."""
        self.reused = 0
        self._stop_ids = stop_ids
        self._most_tokens = most_tokens
        self._decoder = decoder
        self._text = StopText(request.stop)
        self._deliver = deliver

    def accept(self, token: int, logprob: float | None, top: tuple[tuple[int, float], ...]) -> None:
        """Passes a drawn token on; afterwards `finished` says whether it was the last."""
        self.count += 1
        reason = None
        if token in self._stop_ids:
            text, reason = "", "stop"
        else:
            text = self._text.push(self._decoder.push(token)) if self._decoder else ""
            if self._text.stopped:
                reason = "stop"
            elif self.count >= self._most_tokens:
                reason = "length"
        if reason is not None:
            text += self._rest()
            reason = "stop" if self._text.stopped else reason
        self._send(self._event(token, text, finish=reason, logprob=logprob, top=top))

    def restart(self) -> None:
        """Its tokens stay: they are computed again, not drawn again."""

    def end(self, reason: str, error: str | None = None) -> None:
        """Ends it where it stands, with the text that was held back."""
        if self.finished:
            return
        try:
            text = self._rest()
        except BaseException as cause:
            log.warning("the rest of a request's text is lost: %s", cause)
            text = ""
        self._send(self._event(None, text, finish=reason, error=error))

    def _rest(self) -> str:
        text = self._text.push(self._decoder.flush()) if self._decoder else ""
        return text + self._text.flush()

    def _event(
        self,
        token: int | None,
        text: str,
        *,
        finish: str | None,
        logprob: float | None = None,
        top: tuple[tuple[int, float], ...] = (),
        error: str | None = None,
    ) -> TokenEvent:
        return TokenEvent(
            token=token,
            text=text,
            finish=finish,
            logprob=logprob,
            top=top,
            error=error,
            prompt_tokens=len(self.request.source) + len(self.request.ids),
            cached_tokens=self.reused,
            completion_tokens=self.count,
        )

    def _send(self, event: TokenEvent) -> None:
        """A sink that fails ends its own request and nobody else's."""
        self.finished = event.finish is not None
        try:
            self._deliver(event)
        except Exception:
            log.exception("the sink of a request failed; the request is cancelled")
            self.cancelled = True
            self._deliver = _nobody


def _nobody(event: TokenEvent) -> None:
    """Stands in for a sink that failed."""
