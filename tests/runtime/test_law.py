"""The numeric law at the engine: whatever shares the step, the same tokens come out."""

import random
from typing import Any

import pytest

from inferflow_core.interfaces import Request

GREEDY = {"temperature": 0.0}


def prompts_of(count: int, seed: int = 0) -> list[tuple[int, ...]]:
    rng = random.Random(seed)
    return [tuple(rng.choices(range(40), k=rng.randint(1, 50))) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, 7, 16])
@pytest.mark.parametrize("step", [1, 5, 16, 64])
def test_batches_and_chunks_change_nothing(make: Any, fake: Any, tokens: Any, count, step):
    engine, program = make(max_tokens=step, max_sequences=16, pages=600)
    prompts = prompts_of(count)
    streams = [engine.submit(Request(p, 6, sampling=GREEDY)) for p in prompts]
    for prompt, stream in zip(prompts, streams, strict=True):
        assert tokens(list(stream)) == fake.greedy_of(prompt, 6)
    assert max(len(step_.ids) for step_ in program.steps) <= step


def test_decoding_goes_on_while_a_long_prompt_comes_in(
    gated: Any, fake: Any, tokens: Any, wait_for: Any
):
    engine, program, gate = gated(max_tokens=8, max_sequences=4)
    short = engine.submit(Request((1,), 20, sampling=GREEDY))
    wait_for(lambda: engine.stats().running == 1)
    prompt = [*range(40), *range(40)]
    long = engine.submit(Request(tuple(prompt), 4, sampling=GREEDY))
    gate.set()
    assert tokens(list(short)) == fake.greedy_of([1], 20)
    assert tokens(list(long)) == fake.greedy_of(prompt, 4)
    counts = [(step.offsets[1:] - step.offsets[:-1]).tolist() for step in program.steps]
    assert counts[:12] == [[1]] + [[1, 7]] * 11
    assert counts[12] == [1, 3]


def test_prompts_share_a_step_and_a_short_one_is_not_held_up(gated: Any, wait_for: Any):
    engine, program, gate = gated(max_tokens=8, max_sequences=4)
    streams = [engine.submit(Request((1,), 1, sampling=GREEDY))]
    wait_for(lambda: engine.stats().running == 1)
    for length in (40, 30, 2):
        streams.append(engine.submit(Request(tuple(range(length)), 1, sampling=GREEDY)))
    gate.set()
    for stream in streams:
        assert len(list(stream)) == 1
    counts = [(step.offsets[1:] - step.offsets[:-1]).tolist() for step in program.steps]
    assert counts[:3] == [[1], [2, 3, 3], [4, 4]]


def test_a_reused_prefix_changes_nothing(make: Any, fake: Any, tokens: Any):
    engine, program = make()
    common = tuple(range(30))
    for tail in [(1, 2), (3,), (1, 2), ()]:
        before = sum(len(step.ids) for step in program.steps)
        events = list(engine.submit(Request(common + tail, 5, sampling=GREEDY)))
        assert tokens(events) == fake.greedy_of(common + tail, 5)
        computed = sum(len(step.ids) for step in program.steps) - before
        assert computed == len(common + tail) - events[-1].cached_tokens + 4
    assert events[-1].cached_tokens == 28


def test_the_last_token_of_a_cached_prompt_is_computed(make: Any, fake: Any, tokens: Any):
    engine, _ = make(page_tokens=4)
    for expected in (0, 4):
        events = list(engine.submit(Request(tuple(range(8)), 3, sampling=GREEDY)))
        assert tokens(events) == fake.greedy_of(range(8), 3)
        assert events[-1].cached_tokens == expected


@pytest.mark.parametrize(
    ("options", "request_options"),
    [
        ({"prefix_cache": False}, {}),
        ({}, {"reuse_prefix": False}),
        ({}, {"salt": "somebody else"}),
    ],
)
def test_a_prefix_is_reused_only_where_it_may_be(make: Any, options: Any, request_options: Any):
    engine, _ = make(**options)
    prompt = tuple(range(30))
    list(engine.submit(Request(prompt, 2, sampling=GREEDY)))
    events = list(engine.submit(Request(prompt, 2, sampling=GREEDY, **request_options)))
    assert events[-1].cached_tokens == 0


@pytest.mark.parametrize("prefix_cache", [True, False])
def test_preemption_changes_nothing(make: Any, fake: Any, tokens: Any, prefix_cache: bool):
    engine, program = make(pages=12, context=40, max_sequences=6, prefix_cache=prefix_cache)
    prompts = [tuple(range(i, i + 8)) for i in range(6)]
    streams = [engine.submit(Request(p, 25, sampling=GREEDY)) for p in prompts]
    for prompt, stream in zip(prompts, streams, strict=True):
        events = list(stream)
        assert tokens(events) == fake.greedy_of(prompt, 25)
        assert [event.completion_tokens for event in events] == list(range(1, 26))
    computed = sum(len(step.ids) for step in program.steps)
    assert computed > 6 * (8 + 24), "nothing was preempted: the test proves nothing"


def test_seeds_are_reproducible_in_any_company(make: Any, tokens: Any):
    sampling = {"temperature": 1.3, "top_k": 20, "top_p": 0.95, "min_p": 0.01}
    requests = [Request(p, 8, sampling=sampling, seed=7 + i) for i, p in enumerate(prompts_of(7))]
    engine, _ = make()
    alone = [tokens(list(engine.submit(r))) for r in requests]
    engine, _ = make(pages=40, max_tokens=9)
    together = [tokens(list(stream)) for stream in [engine.submit(r) for r in requests]]
    assert together == alone
    other = Request(requests[0].ids, 8, sampling=sampling, seed=8)
    assert tokens(list(engine.submit(other))) != alone[0]


def test_without_a_seed_two_runs_differ(make: Any, tokens: Any):
    engine, _ = make()
    request = Request((1, 2), 20, sampling={"temperature": 1.5})
    assert tokens(list(engine.submit(request))) != tokens(list(engine.submit(request)))


@pytest.mark.parametrize("chunk", [None, 1, 5, 16])
def test_evaluations_give_every_row_beside_generations(make: Any, fake: Any, tokens: Any, chunk):
    engine, _ = make(max_tokens=24, pages=80, max_sequences=4)
    prompt = (3, 1, 4)
    stream = engine.submit(Request(prompt, 30, sampling=GREEDY))
    ids = prompts_of(9, seed=3)
    results = engine.evaluate(ids, "logits", chunk=chunk)
    for one, rows in zip(ids, results, strict=True):
        assert rows.dtype == "float32"
        assert rows.tolist() == [fake.logits_of(one[: i + 1]).tolist() for i in range(len(one))]
    assert engine.evaluate([(1, 2, 3)], "hidden")[0].shape == (3, 8)
    assert tokens(list(stream)) == fake.greedy_of(prompt, 30)


def test_an_evaluation_that_is_preempted_is_whole(make: Any, fake: Any, tokens: Any):
    engine, program = make(pages=17, context=64, max_sequences=2, max_tokens=16, page_tokens=4)
    stream = engine.submit(Request((1, 2, 3), 55, sampling=GREEDY))
    for _ in range(3):
        (rows,) = engine.evaluate([tuple(range(36))], "logits", chunk=1)
        assert rows.tolist() == [fake.logits_of(range(i + 1)).tolist() for i in range(36)]
    assert tokens(list(stream)) == fake.greedy_of([1, 2, 3], 55)
    assert sum(len(step.ids) for step in program.steps) > 3 * 36 + 57
