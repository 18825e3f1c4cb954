"""The numeric law through the engine, on `numpy` and `cpu`: the same bits in any company,
in any chunks, with a reused prefix, and after preemption."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import inferflow_core
from inferflow_core.interfaces import LoadedModel, Request, TokenEvent

MODELS = {
    "window": "families/mistral_7b_v01_swa/model",
    "groups": "families/yi_34b_chat/model",
    "packed": "formats/gguf_llama/tiny-llama-q4_0.gguf",
}
VOCAB = 500
GREEDY = {"temperature": 0.0}


@pytest.fixture(scope="module", params=MODELS)
def path(request: pytest.FixtureRequest, shared: Path) -> Path:
    return shared / "oracles" / MODELS[request.param]


@pytest.fixture(scope="module", params=["numpy", "cpu"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "numpy":
        yield "numpy"
        return
    pytest.importorskip("numba", reason="the cpu backend needs numba")
    with pytest.MonkeyPatch.context() as patch:  # small models would else run as float32
        patch.setattr("inferflow_backends.cpu.memory.CACHED_BYTES", 0)
        yield "cpu"


@pytest.fixture(scope="module")
def model(path: Path, backend: str) -> Iterator[LoadedModel]:
    with inferflow_core.load(path, backend=backend) as model:
        yield model


def sequences(count: int) -> list[list[int]]:
    rng = random.Random(count)
    return [rng.choices(range(VOCAB), k=rng.randint(1, 90)) for _ in range(count)]


@pytest.fixture(scope="module")
def alone(model: LoadedModel) -> list[bytes]:
    return [model.logits([ids])[0].tobytes() for ids in sequences(16)]


@pytest.mark.parametrize("chunk", [None, 1, 5, 16, 64])
@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_logits_in_company_and_in_chunks(
    model: LoadedModel, alone: list[bytes], count: int, chunk: int | None
):
    if count == 1:
        together = [model.logits([ids], chunk=chunk)[0] for ids in sequences(16)[:4]]  # pyright: ignore
    else:
        together = model.logits(sequences(16)[:count], chunk=chunk)  # pyright: ignore
    assert [rows.tobytes() for rows in together] == alone[: len(together)]


def bits(events: list[TokenEvent]) -> list[Any]:
    """Token, and the log-probability of every token of the vocabulary, exactly."""
    return [(event.token, sorted(event.top)) for event in events]


def request(ids: list[int], count: int) -> Request:
    return Request(tuple(ids), count, sampling=GREEDY, logprobs=VOCAB, ignore_stop_ids=True)


def test_a_reused_prefix(model: LoadedModel):
    rng = random.Random(5)
    common = rng.choices(range(VOCAB), k=70)
    prompts = [common + rng.choices(range(VOCAB), k=k) for k in (3, 20, 1)]
    fresh = []
    for ids in prompts:
        only = Request(**{**vars(request(ids, 5)), "reuse_prefix": False})
        fresh.append(list(model.engine.submit(only)))
        assert fresh[-1][-1].cached_tokens == 0
    for round_, at_least in ((0, 0), (1, 64)):
        for ids, expected in zip(prompts, fresh, strict=True):
            events = list(model.engine.submit(request(ids, 5)))
            assert bits(events) == bits(expected), round_
            assert events[-1].cached_tokens >= at_least


def test_preemption(path: Path, backend: str, model: LoadedModel):
    prompts = sequences(6)
    expected = [list(model.engine.submit(request(ids, 40))) for ids in prompts]
    small = {"run.context": 144, "run.cache_tokens": 256, "run.prefix_cache": False}
    with inferflow_core.load(path, backend=backend, set=small) as tight:
        counted = 0
        program: Any = tight.engine._program  # pyright: ignore
        submit = program.submit

        def count(step: Any, outputs: Any) -> Any:
            nonlocal counted
            counted += len(step.ids)
            return submit(step, outputs)

        program.submit = count
        streams = [tight.engine.submit(request(ids, 40)) for ids in prompts]
        for stream, one in zip(streams, expected, strict=True):
            assert bits(list(stream)) == bits(one)
    assert counted > sum(len(ids) + 39 for ids in prompts), "nothing was computed twice"
