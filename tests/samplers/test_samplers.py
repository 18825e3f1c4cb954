"""Each sampler against a plain definition, row by row; and in any company the same bits."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inferflow_samplers.greedy import Greedy
from inferflow_samplers.min_p import MinP
from inferflow_samplers.temperature import Temperature
from inferflow_samplers.top_k import TopK
from inferflow_samplers.top_p import TopP

from inferflow_core.interfaces import SampleStep

Array = np.ndarray[Any, Any]
ALL = (Greedy(), Temperature(), TopK(), TopP(), MinP())


def run(sampler: Any, logits: Array, **columns: list[float]) -> Array:
    count = len(logits)
    step = SampleStep([[1]] * count, [1] * count)
    return sampler(logits.copy(), {k: np.array(v, np.float64) for k, v in columns.items()}, step)


def rows_of(count: int, vocab: int = 500, seed: int = 0) -> Array:
    return (np.random.default_rng(seed).standard_normal((count, vocab)) * 4).astype(np.float32)


def softmax(row: Array) -> Array:
    weights = np.exp(row.astype(np.float64) - row.max())
    return weights / weights.sum()


def kept(row: Array) -> list[int]:
    return np.flatnonzero(row > -np.inf).tolist()


def test_greedy_keeps_the_first_of_the_best():
    logits = np.array([[1, 3, 3, 2], [0, -1, -2, -3]], np.float32)
    assert [kept(row) for row in run(Greedy(), logits)] == [[1], [0]]


def test_temperature_divides_and_zero_is_greedy():
    logits = rows_of(4)
    out = run(Temperature(), logits, temperature=[1.0, 0.5, 0.0, 2.0])
    assert (out[0] == logits[0]).all()
    np.testing.assert_allclose(softmax(out[1]), softmax(logits[1] * 2), atol=1e-6)
    assert kept(out[2]) == [logits[2].argmax()]
    np.testing.assert_allclose(softmax(out[3]), softmax(logits[3] / 2), atol=1e-6)


def test_a_tiny_temperature_is_greedy_and_a_huge_one_uniform():
    out = run(Temperature(), rows_of(2), temperature=[1e-320, 1e300])
    assert softmax(out[0])[rows_of(2)[0].argmax()] == 1
    np.testing.assert_allclose(softmax(out[1]), 1 / 500)


def test_top_k_keeps_k_and_what_equals_the_kth():
    logits = rows_of(4)
    logits[3] = np.array([2, 1] * 250)
    out = run(TopK(), logits, top_k=[0, 1, 7, 3])
    assert (out[0] == logits[0]).all()
    assert kept(out[1]) == [logits[1].argmax()]
    assert kept(out[2]) == sorted(np.argsort(-logits[2])[:7].tolist())
    assert len(kept(out[3])) == 250
    assert (run(TopK(), logits, top_k=[500, 501, 9999, 1e18]) == logits).all()


def nucleus(row: Array, share: float) -> list[int]:
    order = np.argsort(-row, kind="stable")
    chances = softmax(row)[order]
    total, count = 0.0, 0
    while count < len(row) and (count == 0 or total < share):
        total += chances[count]
        count += 1
    return sorted(order[:count].tolist())


@pytest.mark.parametrize("spread", [0.01, 1, 5])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_top_p_keeps_the_smallest_nucleus(spread: float, share: float):
    logits = rows_of(3, 3000) / 4 * np.float32(spread)
    for row, out in zip(logits, run(TopP(), logits, top_p=[share] * 3), strict=True):
        assert kept(out) == nucleus(row, share)
        assert (out[kept(out)] == row[kept(out)]).all()


def test_top_p_prefers_low_ids_among_equals_and_respects_what_is_ruled_out():
    logits = np.zeros((2, 200), np.float32)
    logits[1, ::2] = -np.inf
    out = run(TopP(), logits, top_p=[0.105, 0.105])
    assert kept(out[0]) == list(range(21))
    assert kept(out[1]) == list(range(1, 22, 2))
    assert (run(TopP(), logits, top_p=[1.0, 1.0]) == logits).all()


def test_min_p_keeps_what_is_likely_enough():
    logits = rows_of(3)
    out = run(MinP(), logits, min_p=[0.0, 0.1, 1.0])
    assert (out[0] == logits[0]).all()
    chances = softmax(logits[1])
    assert kept(out[1]) == np.flatnonzero(chances >= 0.1 * chances.max()).tolist()
    assert kept(out[2]) == [logits[2].argmax()]


CHECKS = [
    (Temperature(), "temperature", [0, 0.7, 100], [-0.1, math.inf, math.nan]),
    (TopK(), "top_k", [0, 1, 50], [-1, 1.5, math.nan, math.inf]),
    (TopP(), "top_p", [0, 0.5, 1], [-0.1, 1.01, math.nan]),
    (MinP(), "min_p", [0, 0.5, 1], [-0.1, 1.01, math.nan]),
]


@pytest.mark.parametrize(("sampler", "name", "good", "bad"), CHECKS)
def test_values_are_checked(sampler: Any, name: str, good: list[float], bad: list[float]):
    assert [sampler.check({name: value}) for value in good] == [""] * len(good)
    assert all(name in sampler.check({name: value}) for value in bad)


@pytest.mark.parametrize("sampler", ALL, ids=lambda sampler: type(sampler).__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_row_has_the_same_bits_in_any_company(sampler: Any, data: Any):
    count, vocab = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 700))
    logits = rows_of(count, vocab, seed=data.draw(st.integers(0, 99)))
    ruled_out = data.draw(st.lists(st.integers(0, vocab - 1), max_size=vocab - 1))
    logits[:, ruled_out] = -np.inf
    if not (logits > -np.inf).any(axis=-1).all():
        return
    choices = {"temperature": [0.0, 0.3, 1.0, 1.7], "top_k": [0, 1, 5, 60]}
    names = [field.name for field in dataclasses.fields(sampler)]
    values = choices.get(names[0] if names else "", [0.0, 0.2, 0.9, 1.0])
    column = data.draw(st.lists(st.sampled_from(values), min_size=count, max_size=count))
    columns = dict.fromkeys(names, column)
    together = run(sampler, logits, **columns)
    assert together.dtype == np.float32
    for i in range(count):
        alone = run(sampler, logits[i : i + 1], **{k: v[i : i + 1] for k, v in columns.items()})
        assert alone.tobytes() == together[i : i + 1].tobytes()
        assert kept(together[i])
        assert set(kept(together[i])) <= set(kept(logits[i]))
