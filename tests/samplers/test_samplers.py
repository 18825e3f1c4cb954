"""Each sampler against a plain definition, row by row; and in any company the same bits."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inferflow_samplers.fsd import FSD, ngram_chances
from inferflow_samplers.greedy import Greedy
from inferflow_samplers.min_p import MinP
from inferflow_samplers.temperature import Temperature
from inferflow_samplers.tfs import TFS
from inferflow_samplers.top_k import TopK
from inferflow_samplers.top_p import TopP
from inferflow_samplers.typical import Typical

from inferflow_core.interfaces import SampleStep

Array = np.ndarray[Any, Any]
ALL = (Greedy(), Temperature(), TopK(), TopP(), MinP(), TFS(), Typical(), FSD())


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


def tail_free(row: Array, share: float) -> list[int]:
    """By the definition, in exact order: second differences, each the middle token's."""
    order = np.argsort(-row, kind="stable")
    p = softmax(row)[order]
    bends = [abs(p[i - 1] - 2 * p[i] + p[i + 1]) for i in range(1, len(p) - 1)]
    keep = [int(order[0])]
    for i in range(1, len(p) - 1):
        if sum(bends[:i]) > share * sum(bends):
            return sorted(keep)
        keep.append(int(order[i]))
    return sorted(keep)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.95])
def test_tfs_cuts_where_the_curve_is_flat(share: float):
    logits = rows_of(4, 60)
    for row, out in zip(logits, run(TFS(), logits, tfs_z=[share] * 4), strict=True):
        assert kept(out) == tail_free(row, share)


def test_tfs_counts_the_first_bend():
    """p = .6 .3 .05 .05: the bends are .05 and .25, five sixths of them at the third token."""
    logits = np.log(np.array([[0.6, 0.3, 0.05, 0.05]] * 3, np.float32))
    out = run(TFS(), logits, tfs_z=[0.1, 0.2, 1.0])
    assert [kept(row) for row in out] == [[0], [0, 1], [0, 1, 2, 3]]
    flat = np.zeros((1, 5), np.float32)
    assert kept(run(TFS(), flat, tfs_z=[0.5])[0]) == [0, 1, 2, 3, 4]
    assert kept(run(TFS(), flat[:, :2], tfs_z=[0.0])[0]) == [0, 1]


def typical(row: Array, share: float) -> list[int]:
    p = softmax(row).tolist()
    entropy = -sum(x * math.log(x) for x in p)
    order = sorted(range(len(p)), key=lambda i: abs(-math.log(p[i]) - entropy))
    mass, keep = 0.0, []
    for i in order:
        keep.append(i)
        mass += p[i]
        if mass >= share:
            break
    return sorted(keep)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.95])
def test_typical_keeps_what_is_as_surprising_as_the_average(share: float):
    logits = rows_of(4, 60)
    for row, out in zip(logits, run(Typical(), logits, typical_p=[share] * 4), strict=True):
        assert kept(out) == typical(row, share)
    assert (run(Typical(), logits, typical_p=[1.0] * 4) == logits).all()


def test_typical_may_leave_the_likeliest_out_and_counts_the_first():
    """p = .4 and sixty of .01: the entropy is 3.13, nearer to -ln .01 than to -ln .4."""
    logits = np.log(np.array([[0.4] + [0.01] * 60], np.float32))
    assert kept(run(Typical(), logits, typical_p=[0.105])[0]) == list(range(1, 12))


HISTORY = [1, 2, 3, 1, 2, 3, 1, 2, 4, 1, 2]


def test_ngram_chances_by_hand():
    """After "1 2" and after "2" came 3 twice and 4 once; of 11 tokens two are 3, four are 1."""
    found = ngram_chances(np.array(HISTORY), [3, 4, 1, 9], order=3, beta=0.9)
    three = 0.9 * 2 / 4 + 0.09 * 2 / 4 + 0.01 * 2 / 11
    four = 0.9 * 1 / 4 + 0.09 * 1 / 4 + 0.01 * 1 / 11
    np.testing.assert_allclose(found, [three, four, 0.01 * 4 / 11, 0], atol=1e-12)
    found = ngram_chances(np.array([5, 6, 7]), [5, 8], order=3, beta=0.9)
    np.testing.assert_allclose(found, [1 / 3, 0], atol=1e-12)


def test_fsd_prefers_what_is_new_and_mixes_at_random_at_first():
    logits = np.full((5, 8), -np.inf, np.float32)
    logits[:, [3, 5]] = np.log([0.6, 0.4])
    columns: dict[str, list[float]] = {
        "fsd_k": [6, 6, 1, 0, 6],
        "fsd_alpha": [0.5, 0, 0.5, 0.5, 0.5],
        "fsd_n": [3] * 5,
        "fsd_beta": [0.9] * 5,
        "fsd_random": [2, 0, 0, 0, 3],
    }
    step = SampleStep([HISTORY] * 5, [9] * 5)
    arrays = {name: np.array(column, np.float64) for name, column in columns.items()}
    out = FSD()(logits.copy(), arrays, step)
    assert [kept(row) for row in out] == [[5], [3], [3], [3, 5], [3, 5]]
    np.testing.assert_allclose(softmax(out[4])[[3, 5]], [0.3, 0.7], atol=1e-6)


CHECKS = [
    (Temperature(), "temperature", [0, 0.7, 100], [-0.1, math.inf, math.nan]),
    (TopK(), "top_k", [0, 1, 50], [-1, 1.5, math.nan, math.inf]),
    (TopP(), "top_p", [0, 0.5, 1], [-0.1, 1.01, math.nan]),
    (MinP(), "min_p", [0, 0.5, 1], [-0.1, 1.01, math.nan]),
    (TFS(), "tfs_z", [0, 0.5, 1], [-0.1, 1.01, math.nan]),
    (Typical(), "typical_p", [0, 0.5, 1], [-0.1, 1.01, math.nan]),
    (FSD(), "fsd_k", [0, 6, 64], [-1, 1.5, 65, math.nan, math.inf]),
    (FSD(), "fsd_alpha", [0, 1], [-0.1, 1.1, math.nan]),
    (FSD(), "fsd_n", [1, 16], [0, 17, 2.5, math.nan]),
    (FSD(), "fsd_beta", [0, 1], [-0.1, 1.1, math.nan]),
    (FSD(), "fsd_random", [0, 10], [-1, 0.5, math.nan]),
]


@pytest.mark.parametrize(("sampler", "name", "good", "bad"), CHECKS)
def test_values_are_checked(sampler: Any, name: str, good: list[float], bad: list[float]):
    others = vars(sampler)
    assert [sampler.check({**others, name: value}) for value in good] == [""] * len(good)
    assert all(name in sampler.check({**others, name: value}) for value in bad)


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
    choices = {"temperature": [0.0, 0.3, 1.0, 1.7], "top_k": [0, 1, 5, 60], "fsd_k": [0, 1, 3]}
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
