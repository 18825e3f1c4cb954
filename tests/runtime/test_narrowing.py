"""Rows by their largest logits alone: the tokens are those of the whole rows, sorted."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inferflow_runtime import narrowing
from inferflow_runtime.narrowing import may_narrow, narrowed
from inferflow_runtime.sampling import Row, SamplerChain, uniform
from inferflow_samplers.fsd import FSD
from inferflow_samplers.greedy import Greedy
from inferflow_samplers.min_p import MinP
from inferflow_samplers.temperature import Temperature
from inferflow_samplers.tfs import TFS
from inferflow_samplers.top_k import TopK
from inferflow_samplers.top_p import TopP
from inferflow_samplers.typical import Typical

from inferflow_core.errors import EngineError

VOCAB = 12_003
"""No multiple of a block."""
ALL = (Temperature(), TopK(), TFS(), Typical(), TopP(), MinP(), FSD())


def rows_of(count: int, seed: int, *, steps: float = 0) -> Any:
    """Random logits; with `steps` only so many values for each unit, so that many are equal."""
    logits = np.random.default_rng(seed).standard_normal((count, VOCAB)) * 3
    return (np.round(logits * steps) / steps if steps else logits).astype(np.float32)


def by_sorting(logits: Any, temperature: float, top_k: int, top_p: float, min_p: float, *at: int):
    """The token by plain definitions: everything sorted, sums one after the other."""
    scores = (logits - logits.max()) / np.float32(temperature)
    order = np.argsort(-scores, kind="stable")
    kept = [i for i in order if scores[i] >= scores[order[top_k - 1]]]
    by_id = np.exp(scores[sorted(kept)].astype(np.float64))
    total, count = 0.0, 0
    while count < len(kept) and (count == 0 or total < top_p * np.cumsum(by_id)[-1]):
        total += np.exp(np.float64(scores[kept[count]]))
        count += 1
    kept = [i for i in kept[:count] if scores[i] >= np.log(min_p)]
    kept.sort()
    cumulated = np.cumsum(np.exp(scores[kept].astype(np.float64)))
    return kept[int((cumulated <= uniform(*at) * cumulated[-1]).sum())]


@pytest.mark.parametrize("steps", [0, 50, 2])
def test_the_usual_chain_is_that_of_sorted_rows(steps: float) -> None:
    logits = rows_of(12, 1, steps=steps)
    chain = SamplerChain((Temperature(), TopK(), TopP(), MinP()))
    ways = [(0.7, 10, 0.95, 0.05), (1.0, 3, 0.5, 0.01), (1.9, 11, 0.999, 1e-4)]
    names = ("temperature", "top_k", "top_p", "min_p")
    rows = [
        Row(chain.values(dict(zip(names, ways[i % 3], strict=True))), 7 * i, i, [1], 1)
        for i in range(12)
    ]
    expected = [by_sorting(logits[i], *ways[i % 3], 7 * i, i) for i in range(12)]
    assert chain.choose(logits, rows) == expected


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_chain_draws_what_it_draws_from_whole_rows(data: Any) -> None:
    count = data.draw(st.integers(1, 6))
    logits = rows_of(count, data.draw(st.integers(0, 99)), steps=data.draw(st.sampled_from([0, 4])))
    logits *= np.float32(data.draw(st.sampled_from([1e-3, 1, 30])))
    fields = {
        "temperature": [0.0, 1e-30, 0.3, 1.0, 1.7, 1e5, 1e30],
        "top_k": [0, 1, 5, 11, 400],
        "top_p": [1.0, 0.9, 0.1],
        "min_p": [0.0, 0.1],
        "tfs_z": [1.0, 0.9],
        "typical_p": [1.0, 0.8],
        "fsd_k": [0, 4],
    }
    chain = SamplerChain(data.draw(st.permutations(ALL)))
    rows = [
        Row(
            chain.values({name: data.draw(st.sampled_from(of)) for name, of in fields.items()}),
            *(i, 3 * i, [5, 6, 5, 6, 9], 2),
        )
        for i in range(count)
    ]
    chosen = chain.choose(logits, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(narrowing, "LEAST_VOCAB", 10**9)
        assert chain.choose(logits, rows) == chosen
    assert all(isinstance(token, int) for token in chosen)


def test_the_largest_and_their_equals_are_found() -> None:
    logits = rows_of(5, 3, steps=8)
    logits[3] = 0
    counts = np.array([1, 2, 11, 5, 7])
    ids, values, largest = narrowed(logits, counts)
    for i, row in enumerate(logits):
        floor = np.sort(row)[-counts[i]]
        assert set(np.flatnonzero(row >= floor)) <= set(ids[i, values[i] > -np.inf])
        alive = int((values[i] > -np.inf).sum())
        assert (np.diff(ids[i, :alive]) > 0).all()
        assert (values[i, :alive] == row[ids[i, :alive]]).all()
    assert (largest == logits.max(axis=1)).all()


def test_what_is_not_finite_ends_its_own_row_alone() -> None:
    logits = rows_of(4, 2)
    logits[1, 7], logits[2, VOCAB - 1] = np.nan, np.inf
    chain = SamplerChain((Temperature(), TopK(top_k=4)))
    rows = [Row(chain.values({}), 1, i, [1], 1) for i in range(4)]
    for some in ([0, 1, 2, 3], [1], [1, 2]):
        chosen = chain.choose(logits[some], [rows[i] for i in some])
        assert [isinstance(token, EngineError) for token in chosen] == [i in (1, 2) for i in some]


def test_where_it_pays() -> None:
    """Only a small number of logits of a large vocabulary; never for a sampler that says no."""
    assert may_narrow(40, 151_936)
    assert not any(may_narrow(k, 151_936) for k in (0, 9000, float("inf")))
    assert not may_narrow(1, 500)

    class Unranked(Greedy):
        reach = None  # pyright: ignore

    called: list[int] = []

    class Spy(Unranked):
        def __call__(self, logits: Any, columns: Any, step: Any) -> Any:
            called.append(logits.shape[1])
            return super().__call__(logits, columns, step)

    chain = SamplerChain((TopK(top_k=3), Spy()))
    chain.choose(rows_of(1, 1), [Row(chain.values({}), 1, 1, [1], 1)])
    assert called == [VOCAB]
