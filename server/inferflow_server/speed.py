"""How fast an answer was: three lines for the end of it."""

import time
from collections.abc import Callable

from inferflow_core.interfaces import TokenEvent


class Stopwatch:
    """Started when a request is submitted; shown every event of it. Times in seconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start = clock()
        self._first: float | None = None
        self._last_token = 0.0
        self._last: TokenEvent | None = None

    def see(self, event: TokenEvent) -> None:
        self._last = event
        if event.token is None:
            return
        self._last_token = self._clock()
        if self._first is None:
            self._first = self._last_token

    def footer(self, load_s: float) -> str:
        """Load, prompt and answer, a line each.

        The prompt's speed counts the tokens that were computed, not those that the cache had, until
        the first token came; the answer's counts the tokens after the first.
        """
        last = self._last
        if last is None or self._first is None:
            return f"load    {load_s:.2f} s\nprompt  not finished\nanswer  no tokens"
        wait_s, rest_s = self._first - self._start, self._last_token - self._first
        computed, later = last.prompt_tokens - last.cached_tokens, last.completion_tokens - 1
        return (
            f"load    {load_s:.2f} s\n"
            f"prompt  {last.prompt_tokens} tokens ({last.cached_tokens} cached), "
            f"{_rate(computed, wait_s)}, first token after {wait_s:.2f} s\n"
            f"answer  {last.completion_tokens} tokens, {_rate(later, rest_s)}, "
            f"finish: {last.finish or 'interrupted'}"
        )


def _rate(tokens: int, seconds: float) -> str:
    return f"{tokens / seconds:.1f} tokens/s" if tokens > 0 and seconds > 0 else "- tokens/s"
