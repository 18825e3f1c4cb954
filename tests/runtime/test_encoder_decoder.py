"""Engines of programs with an encoder: each source is read once, and whatever company a request
has, its tokens depend on its own source and target alone."""

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from inferflow_core.errors import RequestError
from inferflow_core.interfaces import Request

GREEDY = {"temperature": 0.0}
START = (2, 7)
Make = Callable[..., Any]


@pytest.fixture
def pairs(make: Make) -> Callable[..., Any]:
    """An engine whose steps hold the longest source."""

    def build(**options: Any) -> Any:
        usual = {"pages": 200, "source_pages": 200, "context": 64, "max_tokens": 64}
        return make(**{**usual, **options})

    return build


def expected(fake: Any, source: Sequence[int], count: int, start: Sequence[int] = START) -> Any:
    return fake.greedy_of([*source, -1, *start], count)


def sources_of(count: int, seed: int = 0, longest: int = 40) -> list[tuple[int, ...]]:
    rng = random.Random(seed)
    return [tuple(rng.choices(range(40), k=rng.randint(1, longest))) for _ in range(count)]


def asked(source: Sequence[int], count: int, start: Sequence[int] = START) -> Request:
    return Request(tuple(start), count, sampling=GREEDY, source=tuple(source))


def encoded(program: Any) -> list[list[int]]:
    """How many tokens of each source went into each step of the encoder."""
    steps = [step for step in program.steps if step.entry == "encode"]
    return [(step.offsets[1:] - step.offsets[:-1]).tolist() for step in steps]


def flat(counts: list[list[int]]) -> list[int]:
    return [count for step in counts for count in step]


def test_a_source_is_read_once(pairs: Make, fake: Any, tokens: Any) -> None:
    engine, program = pairs()
    source = sources_of(1)[0]
    events = list(engine.submit(asked(source, 9)))
    assert tokens(events) == expected(fake, source, 9)
    assert encoded(program) == [[len(source)]]
    assert len(program.steps) == 1 + 9
    assert events[-1].prompt_tokens == len(source) + len(START)


@pytest.mark.parametrize("count", [2, 7, 16])
@pytest.mark.parametrize("step", [64, 100])
def test_company_changes_nothing(
    pairs: Make, fake: Any, tokens: Any, count: int, step: int
) -> None:
    """Sources and targets of all lengths, more than fit into one step of the encoder."""
    engine, program = pairs(max_tokens=step, max_sequences=16, pages=600, source_pages=600)
    sources = sources_of(count, seed=count)
    starts = sources_of(count, seed=99, longest=9)
    streams = [
        engine.submit(asked(source, 6, start))
        for source, start in zip(sources, starts, strict=True)
    ]
    for source, start, stream in zip(sources, starts, streams, strict=True):
        assert tokens(list(stream)) == expected(fake, source, 6, start)
    assert sorted(flat(encoded(program))) == sorted(map(len, sources))
    assert all(sum(counts) <= step for counts in encoded(program))


def test_those_who_come_late_hold_nobody_up(
    gated: Any, fake: Any, tokens: Any, wait_for: Any
) -> None:
    """While sources are encoded that fill a step each, what is being written goes on."""
    engine, program, gate = gated(
        pages=200, source_pages=200, context=64, max_tokens=64, max_sequences=8
    )
    first = engine.submit(asked((1, 2, 3), 12))
    wait_for(lambda: engine.stats().running == 1)
    late = [tuple(range(i, 40)) for i in range(4)]
    streams = [engine.submit(asked(source, 3)) for source in late]
    gate.set()
    assert tokens(list(first)) == expected(fake, (1, 2, 3), 12)
    for source, stream in zip(late, streams, strict=True):
        assert tokens(list(stream)) == expected(fake, source, 3)
    entries = "".join(step.entry[0] for step in program.steps)
    assert entries.startswith("esesesese")
    assert encoded(program) == [[3], [40], [39], [38], [37]]


@pytest.mark.parametrize("scarce", [{"pages": 24}, {"source_pages": 24}, {"pages": 18}])
def test_few_pages_of_either_kind_change_nothing(
    pairs: Make, fake: Any, tokens: Any, scarce: dict[str, int]
) -> None:
    engine, program = pairs(max_sequences=6, **scarce)
    sources = sources_of(10, seed=4)
    streams = [engine.submit(asked(source, 25)) for source in sources]
    for source, stream in zip(sources, streams, strict=True):
        events = list(stream)
        assert tokens(events) == expected(fake, source, 25)
        assert [event.completion_tokens for event in events] == list(range(1, 26))
    stats = engine.stats()
    assert (stats.free_pages, stats.free_source_pages) == (stats.pages, stats.source_pages)
    again = sum(flat(encoded(program))) > sum(map(len, sources))
    assert again == ("pages" in scarce), "preempted sources are encoded again, others are not"


def test_cancelling_before_the_source_is_read(gated: Any, fake: Any, tokens: Any, wait_for: Any):
    engine, program, gate = gated(
        pages=99, source_pages=99, context=64, max_tokens=64, max_sequences=2
    )
    streams = [engine.submit(asked(tuple(range(30, 30 - i, -1)), 5)) for i in (5, 6, 7)]
    wait_for(lambda: engine.stats().running + engine.stats().waiting == 3)
    streams[0].cancel()
    streams[2].cancel()
    gate.set()
    assert [event.finish for event in streams[0]][-1] == "cancelled"
    assert [event.finish for event in streams[2]] == ["cancelled"]
    assert tokens(list(streams[1])) == expected(fake, range(30, 24, -1), 5)
    assert 7 not in flat(encoded(program))


def test_closing_while_sources_wait_returns_all_pages(gated: Any, wait_for: Any) -> None:
    engine, _, gate = gated(pages=99, source_pages=99, context=64, max_tokens=64)
    streams = [engine.submit(asked(range(30), 50)) for _ in range(5)]
    wait_for(lambda: bool(engine._scheduler.running))
    closing = threading.Thread(target=engine.close)
    closing.start()
    wait_for(lambda: engine._closing)
    gate.set()
    closing.join()
    assert {list(stream)[-1].finish for stream in streams} == {"cancelled"}


@pytest.mark.parametrize("scarce", [{}, {"pages": 18}, {"source_pages": 20}])
def test_evaluations_with_sources_beside_generations(
    pairs: Make, fake: Any, tokens: Any, scarce: dict[str, int]
) -> None:
    engine, _ = pairs(max_sequences=4, **scarce)
    stream = engine.submit(asked((9, 8), 30))
    sources, ids = sources_of(9, seed=1), sources_of(9, seed=2)
    for chunk in (None, 1, 5):
        found = engine.evaluate(ids, "logits", source=sources, chunk=chunk)
        for source, one, rows in zip(sources, ids, found, strict=True):
            wanted = [fake.logits_of([*source, -1, *one[: i + 1]]) for i in range(len(one))]
            assert rows.tolist() == [row.tolist() for row in wanted]
    states = engine.evaluate(sources, "hidden", entry="encode")
    assert [state.shape for state in states] == [(len(source), 8) for source in sources]
    assert states[3][-1].tolist() == fake.logits_of(sources[3])[:8].tolist()
    assert tokens(list(stream)) == expected(fake, (9, 8), 30)


def test_a_known_prefix_of_another_source_is_not_used(pairs: Make, fake: Any, tokens: Any) -> None:
    engine, _ = pairs()
    start = tuple(range(20))
    for source in ((1, 2), (3, 4), (1, 2)):
        events = list(engine.submit(asked(source, 4, start)))
        assert tokens(events) == expected(fake, source, 4, start)
        assert events[-1].cached_tokens == 0


def test_what_cannot_be_is_refused(pairs: Make, make: Make) -> None:
    engine, program = pairs()
    refused = {
        "give one": Request(START, 3),
        "a source has 65 tokens; the context is 64": asked([1] * 65, 3),
        "token id 40 is outside of 0..39": asked([1, 40], 3),
    }
    for message, request in refused.items():
        with pytest.raises(RequestError, match=message) as error:
            engine.submit(request)
        assert error.value.param == "source"
    with pytest.raises(RequestError, match="one for each"):
        engine.evaluate([(1,), (2,)], "logits", source=[(1,)])
    with pytest.raises(RequestError, match="reads no source"):
        engine.evaluate([(1,)], "hidden", entry="encode", source=[(1,)])
    alone, _ = make()
    with pytest.raises(RequestError, match="no encoder"):
        alone.submit(asked([1], 3))
    with pytest.raises(RequestError, match="no 'encode'"):
        alone.evaluate([(1,)], "hidden", entry="encode")
    assert not program.steps


def test_a_step_must_hold_the_longest_source(make: Make) -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        make(source_pages=99, pages=99, context=64, max_tokens=63)
