"""The chain and the draw: distributions on fixed seeds, independence of the company."""

from typing import Any

import numpy as np
import pytest
from inferflow_runtime.sampling import Row, SamplerChain, draw, logprobs, uniform
from inferflow_samplers.greedy import Greedy
from inferflow_samplers.min_p import MinP
from inferflow_samplers.temperature import Temperature
from inferflow_samplers.top_k import TopK
from inferflow_samplers.top_p import TopP

from inferflow_core.errors import EngineError, RequestError

USUAL = (Temperature(), TopK(), TopP(), MinP())
DRAWS = 8_000
CHI_SQUARE_999 = {2: 13.82, 5: 20.52, 6: 22.46, 7: 24.32, 9: 27.88, 15: 37.70, 63: 103.4}
"""Upper 0.1 % points by degrees of freedom."""


def chi_square(counts: Any, chances: Any) -> float:
    expected = np.asarray(chances) * np.sum(counts)
    return float(((counts - expected) ** 2 / expected).sum())


def test_uniform_numbers_are_uniform_and_independent_along_index_seed_and_number():
    for numbers in (
        [uniform(5, i) for i in range(DRAWS)],
        [uniform(i, 5) for i in range(DRAWS)],
        [uniform(5, 5, i) for i in range(DRAWS)],
    ):
        assert min(numbers) >= 0
        assert max(numbers) < 1
        counts = np.histogram(numbers, bins=64, range=(0, 1))[0]
        assert chi_square(counts, [1 / 64] * 64) < CHI_SQUARE_999[63]
        pairs = np.histogram2d(numbers[:-1], numbers[1:], bins=4)[0].ravel()
        assert chi_square(pairs, [1 / 16] * 16) < CHI_SQUARE_999[15]


def test_random_numbers_are_those_of_numpys_philox():
    for seed, index, number in ((0, 0, 0), (5, 7, 0), (2**64 - 1, 2**40, 3), (-1, 1, 1)):
        theirs = np.random.Philox(key=seed % 2**64, counter=[0, 0, number, index]).random_raw()
        assert uniform(seed, index, number) == (int(theirs) >> 11) * 2.0**-53


def test_draws_follow_the_softmax():
    logits = np.array([0.0, 1.0, -2.0, 3.0, 2.5, -np.inf, 0.5], np.float32)
    counts = np.bincount([draw(logits, 11, i) for i in range(DRAWS)], minlength=7)  # pyright: ignore
    chances = np.exp(logits.astype(np.float64))
    assert counts[5] == 0
    possible = chances > 0
    assert chi_square(counts[possible], chances[possible] / chances.sum()) < CHI_SQUARE_999[5]


@pytest.mark.parametrize(
    ("sampling", "alive"),
    [
        ({}, 10),
        ({"temperature": 2.0}, 10),
        ({"top_k": 3}, 3),
        ({"top_p": 0.9, "temperature": 3.0}, 8),
        ({"min_p": 0.05, "temperature": 1.5}, 7),
    ],
)
def test_the_chain_draws_from_the_distribution_it_describes(sampling: Any, alive: int):
    logits = np.linspace(0, 6, 10).astype(np.float32)
    scores = logits.astype(np.float64) / sampling.get("temperature", 1)
    chances = np.exp(scores - scores.max())
    chances[:-alive] = 0
    chances /= chances.sum()
    chain = SamplerChain(USUAL)
    values = chain.values(sampling)
    counts = np.zeros(10)
    for first in range(0, DRAWS, 500):
        rows = [Row(values, 3, first + i, [1], 1) for i in range(500)]
        for token in chain.choose(np.tile(logits, (500, 1)), rows):
            counts[token] += 1  # pyright: ignore
    possible = chances > 0
    assert counts[~possible].sum() == 0
    assert chi_square(counts[possible], chances[possible]) < CHI_SQUARE_999[alive - 1]


def test_a_row_draws_the_same_in_any_company_and_logits_stay():
    rng = np.random.default_rng(1)
    logits = (rng.standard_normal((16, 300)) * 3).astype(np.float32)
    before = logits.copy()
    chain = SamplerChain(USUAL)
    kinds = [{}, {"temperature": 0.0}, {"top_k": 5}, {"top_p": 0.8, "temperature": 1.7}]
    rows = [Row(chain.values(kinds[i % 4]), i, i * 3, [1], 1) for i in range(16)]
    together = chain.choose(logits, rows)
    alone = [chain.choose(logits[i : i + 1], [rows[i]])[0] for i in range(16)]
    assert together == alone
    assert (logits == before).all()


def test_requests_override_fields_by_name_and_the_rest_are_the_specs():
    chain = SamplerChain((Temperature(temperature=0.7), TopK(top_k=40)))
    assert chain.fields == ["temperature", "top_k"]
    assert chain.values({}) == (0.7, 40.0)
    assert chain.values({"top_k": 3}) == (0.7, 3.0)
    with pytest.raises(RequestError, match="has a parameter 'topk'") as caught:
        chain.values({"topk": 3})
    assert "Did you mean 'top_k'" in str(caught.value)
    assert caught.value.param == "topk"


def test_an_empty_chain_draws_from_the_logits():
    chain = SamplerChain(())
    logits = np.array([[0.0, 50.0, 0.0]], np.float32)
    assert chain.choose(logits, [Row((), 1, 0, [1], 1)]) == [1]
    assert SamplerChain((Greedy(),)).choose(logits, [Row((), 1, 0, [1], 1)]) == [1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_an_error_of_their_row(bad: float):
    logits = np.zeros((3, 4), np.float32)
    logits[1, 2] = bad
    chain = SamplerChain(USUAL)
    rows = [Row(chain.values({"top_p": 0.5, "temperature": 0.5}), 1, i, [1], 1) for i in range(3)]
    first, second, third = chain.choose(logits, rows)
    assert isinstance(second, EngineError)
    assert isinstance(first, int)
    assert isinstance(third, int)


def test_all_ruled_out_is_an_error():
    nothing = np.full((1, 4), -np.inf, np.float32)
    assert isinstance(draw(nothing[0], 1, 1), EngineError)

    class Nothing(Greedy):
        def __call__(self, logits: Any, columns: Any, step: Any) -> Any:
            logits[:] = -np.inf
            return logits

    chain = SamplerChain((Nothing(), *USUAL))
    values = chain.values({"temperature": 0.7, "top_k": 2, "top_p": 0.5, "min_p": 0.1})
    (error,) = chain.choose(np.zeros((1, 4), np.float32), [Row(values, 1, 0, [1], 1)])
    assert "ruled out every token" in str(error)


def test_logprobs_order_equals_by_id():
    value, top = logprobs(np.array([1, 2, 2, 0, 2], np.float32), 3, 2)
    total = np.log(np.exp([1.0, 2, 2, 0, 2]).sum())
    assert value == pytest.approx(0 - total)
    assert [id for id, _ in top] == [1, 2]
    assert top[0][1] == pytest.approx(2 - total)
    assert len(logprobs(np.zeros(4, np.float32), 0, 99)[1]) == 4
