"""The speed footer, on a clock of our own."""

from collections.abc import Iterator

from inferflow_server.speed import Stopwatch

from inferflow_core.interfaces import TokenEvent


def watch(*moments: float) -> Stopwatch:
    times: Iterator[float] = iter(moments)
    return Stopwatch(lambda: next(times))


def event(token: int | None, finish: str | None = None, **counts: int) -> TokenEvent:
    return TokenEvent(token, "", finish, **counts)


def test_what_was_computed_over_the_time_that_it_took() -> None:
    stopwatch = watch(10.0, 10.5, 10.7, 11.0)
    counts = {"prompt_tokens": 30, "cached_tokens": 20}
    for number in (1, 2, 3):
        stopwatch.see(event(5, completion_tokens=number, **counts))
    stopwatch.see(event(None, "stop", completion_tokens=3, **counts))
    assert stopwatch.footer(1.234).splitlines() == [
        "load    1.23 s",
        "prompt  30 tokens (20 cached), 20.0 tokens/s, first token after 0.50 s",
        "answer  3 tokens, 4.0 tokens/s, finish: stop",
    ]


def test_one_token_has_no_speed_and_none_has_no_times() -> None:
    stopwatch = watch(0.0, 2.0)
    stopwatch.see(event(5, prompt_tokens=8, cached_tokens=8, completion_tokens=1))
    assert stopwatch.footer(0.0).splitlines()[1:] == [
        "prompt  8 tokens (8 cached), - tokens/s, first token after 2.00 s",
        "answer  1 tokens, - tokens/s, finish: interrupted",
    ]
    nothing = watch(0.0)
    nothing.see(event(None, "cancelled"))
    assert nothing.footer(0.5).splitlines() == [
        "load    0.50 s",
        "prompt  not finished",
        "answer  no tokens",
    ]
