import numpy as np
import pytest
from inferflow_plugin_example.no_repeat import NoRepeat, repeats

from inferflow_core.interfaces import SampleStep
from inferflow_core.testing import SamplerSuite


class TestNoRepeat(SamplerSuite):
    name = "example.no_repeat"

    def make(self):
        return NoRepeat(no_repeat=1)


@pytest.mark.parametrize(
    ("history", "n", "expected"),
    [
        ([1, 2, 3], 1, [1, 2, 3]),
        ([1, 2, 9, 1, 3, 1], 2, [2, 3]),
        ([1, 2, 3, 1, 2], 3, [3]),
        ([5, 5], 3, []),
        ([], 1, []),
    ],
)
def test_what_would_repeat(history, n, expected):
    assert repeats(history, n) == expected


def run(histories, sizes, logits):
    columns = {"no_repeat": np.array(sizes, np.float64)}
    return NoRepeat()(
        np.array(logits, np.float32), columns, SampleStep(histories, [0] * len(sizes))
    )


def test_each_row_by_its_own_size_and_a_row_without_a_choice_stays():
    rows = run([[0, 1, 0], [0, 1, 0], [0, 1, 2]], [2, 0, 1], [[1, 2, 3]] * 3)
    assert rows.tolist() == [[1, -np.inf, 3], [1, 2, 3], [1, 2, 3]]


@pytest.mark.parametrize("value", [-1, 0.5, float("nan")])
def test_a_size_that_is_no_count_is_refused(value):
    assert str(value) in NoRepeat().check({"no_repeat": value})
