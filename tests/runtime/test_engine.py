"""The engine's manners: events, stops, cancel, close, overload, death, bad neighbours."""

import threading
import time
from typing import Any

import pytest

from inferflow_core.errors import EngineError, OverloadedError, RequestError
from inferflow_core.interfaces import ProgramEntry, Request, SampleStep

GREEDY = {"temperature": 0.0}


def text_of(events: Any) -> str:
    return "".join(event.text for event in events)


def test_events_count_and_the_last_one_says_why(make: Any, fake: Any, tokens: Any):
    engine, _ = make()
    events = list(engine.submit(Request((1, 2, 3), 4, sampling=GREEDY)))
    assert [e.finish for e in events] == [None, None, None, "length"]
    assert [e.completion_tokens for e in events] == [1, 2, 3, 4]
    assert {e.prompt_tokens for e in events} == {3}
    assert all(e.logprob is None and e.top == () for e in events)


def test_a_stop_id_ends_it_and_gives_no_text(make: Any, fake: Any, tokens: Any):
    expected = fake.greedy_of([1], 10)
    stop = expected[5]
    end = expected.index(stop)
    engine, _ = make(stop_ids=[stop])
    events = list(engine.submit(Request((1,), 10, sampling=GREEDY)))
    assert tokens(events) == expected[: end + 1]
    assert (events[-1].finish, events[-1].text) == ("stop", "")
    ignored = engine.submit(Request((1,), 10, sampling=GREEDY, ignore_stop_ids=True))
    assert tokens(list(ignored)) == expected
    engine, _ = make()
    own = engine.submit(Request((1,), 10, sampling=GREEDY, stop_ids=frozenset([stop])))
    assert tokens(list(own)) == expected[: end + 1]


def test_stop_strings_across_tokens_are_held_back_and_cut(make: Any):
    engine, _ = make()
    whole = text_of(engine.submit(Request((1,), 12, sampling=GREEDY)))
    for begin in range(len(whole) - 3):
        stop = whole[begin : begin + 3]
        events = list(engine.submit(Request((1,), 12, sampling=GREEDY, stop=(stop, "\n"))))
        assert text_of(events) == whole[: whole.index(stop)]
        assert events[-1].finish == "stop"


def test_text_held_back_comes_at_the_end(make: Any):
    engine, _ = make()
    whole = text_of(engine.submit(Request((1,), 6, sampling=GREEDY)))
    events = list(engine.submit(Request((1,), 6, sampling=GREEDY, stop=(whole[-2:] + "!",))))
    assert text_of(events) == whole
    assert (events[-1].finish, len(events)) == ("length", 6)


def test_the_context_ends_a_generation(make: Any):
    engine, _ = make(context=20)
    events = list(engine.submit(Request(tuple(range(15)), 100, sampling=GREEDY)))
    assert (len(events), events[-1].finish) == (5, "length")


def test_logprobs_are_those_of_the_raw_logits(make: Any, fake: Any):
    import numpy as np

    engine, _ = make()
    request = Request((1, 2), 3, sampling={"temperature": 0.5, "top_k": 1}, logprobs=4)
    events = list(engine.submit(request))
    history = [1, 2]
    for event in events:
        logits = fake.logits_of(history).astype(np.float64)
        expected = logits - np.log(np.exp(logits).sum())
        best = np.argsort(-expected, kind="stable")[:4]
        assert [id for id, _ in event.top] == best.tolist()
        np.testing.assert_allclose([v for _, v in event.top], expected[best], atol=1e-9)
        assert event.logprob == pytest.approx(expected[event.token], abs=1e-9)
        history.append(event.token)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request((), 5), "prompt is empty"),
        (Request((1, 99), 5), "token id 99 is outside of 0..39"),
        (Request((-1,), 5), "token id -1"),
        (Request((1,) * 128, 5), "context of 128"),
        (Request((1,), 0), "max_tokens is 0"),
        (Request((1,), 5, stop=("",)), "stop string is empty"),
        (Request((1,), 5, logprobs=-1), "logprobs is -1"),
        (Request((1,), 5, sampling={"temprature": 1.0}), "Did you mean 'temperature'"),
        (Request((1,), 5, sampling={"temperature": float("nan")}), "finite"),
        (Request((1,), 5, sampling={"temperature": -0.1}), "must be >= 0"),
        (Request((1,), 5, sampling={"top_p": 1.1}), "from 0 to 1"),
        (Request((1,), 5, sampling={"top_k": 2.5}), "whole number"),
        (Request((1,), 5, sampling={"min_p": -1.0}), "from 0 to 1"),
    ],
)
def test_impossible_requests_are_refused_at_submit(make: Any, request_: Request, words: str):
    engine, program = make()
    with pytest.raises(RequestError, match=words):
        engine.submit(request_)
    assert program.steps == []


def test_stop_strings_need_a_tokenizer(make: Any, fake: Any, tokens: Any):
    engine, _ = make(tokenizer=lambda: None)
    with pytest.raises(RequestError, match="need a tokenizer"):
        engine.submit(Request((1,), 5, stop=("x",)))
    events = list(engine.submit(Request((1,), 5, sampling=GREEDY)))
    assert tokens(events) == fake.greedy_of([1], 5)
    assert text_of(events) == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[1, 99]], "logits"), "token id 99"),
        (([[]], "logits"), "empty"),
        (([[1] * 129], "logits"), "context is 128"),
        (([[1]], "pooled"), "no output 'pooled'"),
    ],
)
def test_impossible_evaluations_are_refused(make: Any, arguments: Any, words: str):
    engine, _ = make()
    with pytest.raises(RequestError, match=words):
        engine.evaluate(*arguments)


def test_token_types_reach_the_program(make: Any):
    engine, program = make()
    engine.evaluate([[1, 2, 3], [4, 5]], "hidden", token_types=[[0, 1, 1], [1, 0]])
    seen = {
        (step.ids[i], step.token_types[i]) for step in program.steps for i in range(len(step.ids))
    }
    assert seen == {(1, 0), (2, 1), (3, 1), (4, 1), (5, 0)}
    with pytest.raises(RequestError, match="as long as"):
        engine.evaluate([[1, 2, 3]], "hidden", token_types=[[0, 1]])


@pytest.mark.parametrize("kind", [2, -1])
def test_a_token_type_without_a_row_is_refused(make: Any, kind: int):
    engine, _ = make(entries={"step": ProgramEntry({"hidden": False}, token_types=2)})
    with pytest.raises(RequestError, match=rf"token type {kind} is outside of 0\.\.1"):
        engine.evaluate([[1, 2, 3]], "hidden", token_types=[[0, 1, kind]])
    engine.evaluate([[1, 2, 3]], "hidden", token_types=[[0, 1, 1]])


def test_cancel_ends_running_and_waiting_requests(gated: Any, wait_for: Any):
    engine, _program, gate = gated(max_sequences=1)
    first = engine.submit(Request((1,), 100, sampling=GREEDY))
    second = engine.submit(Request((2,), 100, sampling=GREEDY))
    wait_for(lambda: engine.stats().running == 1)
    first.cancel()
    second.cancel()
    gate.set()
    for stream in (first, second):
        events = list(stream)
        assert events[-1].finish == "cancelled"
        assert len(events) < 100
    wait_for(lambda: engine.stats().running == engine.stats().waiting == 0)
    assert engine.stats().steps < 10
    assert engine.stats().free_pages == engine.stats().pages
    first.cancel()
    assert list(engine.submit(Request((3,), 2, sampling=GREEDY)))[-1].finish == "length"


def test_a_full_queue_refuses(gated: Any, wait_for: Any):
    engine, _program, gate = gated(max_sequences=1, max_queue=3)
    running = engine.submit(Request((1,), 2, sampling=GREEDY))
    wait_for(lambda: engine.stats().running == 1)
    waiting = [engine.submit(Request((1,), 2, sampling=GREEDY)) for _ in range(3)]
    assert engine.stats().waiting == 3
    with pytest.raises(OverloadedError, match="3 requests are waiting"):
        engine.submit(Request((1,), 2, sampling=GREEDY))
    gate.set()
    for stream in [running, *waiting]:
        assert list(stream)[-1].finish == "length"


def test_close_cancels_and_drain_finishes(gated: Any, fake: Any, wait_for: Any):
    engine, program, gate = gated(max_sequences=1)
    streams = [engine.submit(Request((i,), 5, sampling=GREEDY)) for i in range(3)]
    closer = threading.Thread(target=engine.close, kwargs={"drain": True})
    closer.start()
    wait_for(lambda: engine._closing)
    with pytest.raises(EngineError, match="closing"):
        engine.submit(Request((1,), 2))
    gate.set()
    closer.join(5)
    assert not closer.is_alive()
    assert [list(s)[-1].finish for s in streams] == ["length"] * 3
    assert program.closed
    assert not engine.stats().alive
    with pytest.raises(EngineError, match="closed"):
        engine.submit(Request((1,), 2))

    engine, program, gate = gated(max_sequences=1)
    streams = [engine.submit(Request((i,), 50, sampling=GREEDY)) for i in range(3)]
    wait_for(lambda: engine.stats().running == 1)
    closer = threading.Thread(target=engine.close)
    closer.start()
    gate.set()
    closer.join(5)
    assert [list(s)[-1].finish for s in streams] == ["cancelled"] * 3
    engine.close()


def test_a_sink_may_close_the_engine(make: Any, wait_for: Any):
    engine, program = make()
    done = threading.Event()

    def sink(event: Any) -> None:
        if event.finish == "length":
            engine.close()
            done.set()

    engine.submit(Request((1,), 2, sampling=GREEDY), sink)
    assert done.wait(5)
    wait_for(lambda: program.closed)


def test_when_the_program_fails_every_stream_ends_with_an_error(gated: Any, wait_for: Any):
    engine, program, gate = gated(max_sequences=2)
    program.fail_at = 3
    streams = [engine.submit(Request((i,), 50, sampling=GREEDY)) for i in range(4)]
    failures: list[BaseException] = []

    def evaluate() -> None:
        try:
            engine.evaluate([[1, 2]], "logits")
        except EngineError as error:
            failures.append(error)

    other = threading.Thread(target=evaluate)
    other.start()
    wait_for(lambda: engine.stats().waiting >= 3)
    gate.set()
    for stream in streams:
        last = list(stream)[-1]
        assert last.finish == "error"
        assert "the device is gone" in (last.error or "")
    other.join(5)
    assert "the device is gone" in str(failures[0])
    assert not engine.stats().alive
    with pytest.raises(EngineError, match="has died"):
        engine.submit(Request((1,), 2))


def test_the_heartbeat_stops_when_the_program_hangs(gated: Any, make: Any, wait_for: Any):
    engine, _program, gate = gated()
    engine.submit(Request((1,), 2, sampling=GREEDY))
    wait_for(lambda: engine.stats().heartbeat_age_s > 0.6)
    gate.set()
    wait_for(lambda: engine.stats().heartbeat_age_s < 0.5)
    time.sleep(0.7)
    assert engine.stats().heartbeat_age_s < 0.6


def test_a_failing_sink_ends_its_own_request_only(make: Any, fake: Any, tokens: Any, wait_for: Any):
    engine, _ = make()
    seen: list[Any] = []

    def sink(event: Any) -> None:
        seen.append(event)
        raise ValueError("the client is gone")

    engine.submit(Request((1,), 50, sampling=GREEDY), sink)
    good = engine.submit(Request((2,), 20, sampling=GREEDY))
    assert tokens(list(good)) == fake.greedy_of([2], 20)
    wait_for(lambda: engine.stats().running == 0)
    assert len(seen) == 1


class Fussy:
    """A sampler that fails on rows whose sequence begins with 13."""

    api = 1

    def check(self, values: Any) -> str:
        return ""

    def __call__(self, logits: Any, columns: Any, step: SampleStep) -> Any:
        if any(history[0] == 13 for history in step.histories):
            logits[:] = 0
            raise ValueError("unlucky")
        return logits


def test_a_failing_sampler_ends_only_the_requests_it_fails_on(make: Any, fake: Any, tokens: Any):
    from dataclasses import make_dataclass

    from inferflow_samplers.greedy import Greedy

    fussy = make_dataclass("FussyToo", [], bases=(Fussy,), frozen=True)()
    engine, _ = make(samplers=(fussy, Greedy()))
    streams = [engine.submit(Request((i, 1), 5)) for i in (12, 13, 14)]
    first, bad, last = [list(stream) for stream in streams]
    assert tokens(first) == fake.greedy_of([12, 1], 5)
    assert tokens(last) == fake.greedy_of([14, 1], 5)
    assert bad[-1].finish == "error"
    assert "unlucky" in bad[-1].error
    assert engine.stats().alive


class Panicking:
    """A stream decoder whose native library panics."""

    def push(self, token: int) -> str:
        raise BaseException("panicked at lib.rs")

    flush = push


def test_a_panicking_decoder_ends_its_own_request_only(make: Any, fake: Any, tokens: Any):
    engine, _ = make()
    real = engine._tokenizer.stream
    engine._tokenizer.stream = lambda prompt: Panicking() if prompt[0] == 13 else real()
    bad, good = (engine.submit(Request((i,), 5, sampling=GREEDY)) for i in (13, 14))
    events = list(bad)
    assert events[-1].finish == "error"
    assert "panicked" in events[-1].error
    assert tokens(list(good)) == fake.greedy_of([14], 5)


def test_logits_that_are_not_numbers_end_the_request(make: Any, fake: Any, monkeypatch: Any):
    engine, program = make()
    real = program.submit

    def submit(step: Any, outputs: Any) -> Any:
        ready = real(step, outputs)
        ready.outputs["logits"][step.ids[step.out_rows] == 13] = float("nan")
        return ready

    program.submit = submit
    bad, good = (engine.submit(Request((i,), 1, sampling=GREEDY)) for i in (13, 14))
    assert "not finite" in list(bad)[-1].error
    assert list(good)[-1].finish == "length"
