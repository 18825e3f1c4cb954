"""alibi: the suite, and the slopes of transformers' networks."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_backends.numpy.eager import EagerOps
from inferflow_blocks.alibi import Alibi
from inferflow_blocks.attention import Attention

from inferflow_core.testing import PositionSuite


class TestAlibi(PositionSuite):
    name = "alibi"

    def make(self) -> Alibi:
        return Alibi()


def bias(block: Alibi, heads: int, q: int, keys: Any) -> Any:
    """[heads, keys]."""
    bench = Bench(block, dims_of(8))
    rule = bench.run(
        None, lengths=[1], call=lambda o, w, x, c: block.score_bias(o, w, c, heads=heads)
    )
    assert rule is not None
    columns = np.arange(heads)[:, None], np.array([[q]]), np.asarray(keys)[None]
    return rule(EagerOps(), *(column.astype(np.int32) for column in columns))


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 5, 6, 8, 12, 16, 20, 40, 71, 112])
def test_equals_bloom(heads: int, reference: Any) -> None:
    """Theirs are counted from the first key, which a softmax does not see."""
    mask = reference.torch.ones(1, 30)
    build = reference.code("bloom").build_alibi_tensor
    theirs = build(mask, heads, reference.torch.float64).numpy()[:, 0]
    close(bias(Alibi(), heads, 29, range(30)), theirs - theirs[:, -1:])


@pytest.mark.parametrize("heads", [1, 3, 4, 6, 12, 16, 20])
@pytest.mark.parametrize("most", [4.0, 8.0, 16.0])
def test_equals_mpt_with_another_last_slope(heads: int, most: float, reference: Any) -> None:
    build = reference.code("mpt").build_mpt_alibi_tensor
    theirs = build(heads, 30, alibi_bias_max=most).numpy()[:, 0]
    close(bias(Alibi(max_bias=most), heads, 29, range(30)), theirs)


def test_it_falls_to_both_sides() -> None:
    found = bias(Alibi(), 2, 3, range(7))
    assert np.array_equal(found[0], -np.abs(np.arange(7) - 3) * 2.0**-4)


@pytest.mark.parametrize("causal", [True, False])
def test_attention_adds_it_to_scaled_scores(causal: bool) -> None:
    block = Attention(heads=3, head_dim=4, position=Alibi(), causal=causal)
    bench = Bench(block, dims_of(12))
    x = vectors(9, 12)
    w = {name: array.astype(np.float64) for name, array in bench.handles.items()}
    q, k, v = (np.einsum("ti,hdi->htd", x, w[f"{n}.weight"].reshape(3, 4, 12)) for n in "qkv")
    apart = np.arange(9) - np.arange(9)[:, None]
    scores = q @ k.swapaxes(1, 2) / 2
    scores -= np.abs(apart) * np.array([2.0**-4, 2.0**-8, 2.0**-2])[:, None, None]
    e = np.exp(np.where(causal & (apart > 0), -np.inf, scores))
    mixed = e / e.sum(-1, keepdims=True) @ v
    close(bench.run(x), mixed.swapaxes(0, 1).reshape(9, 12) @ w["o.weight"].T)


def test_a_last_slope_of_no_size() -> None:
    with pytest.raises(ValueError, match="max_bias is 0"):
        Alibi(max_bias=0.0)


def test_slopes_fall_geometrically_and_are_scaled() -> None:
    assert Alibi().slopes(8) == [2.0**-i for i in range(1, 9)]
    # Six heads: those of four, then every second one of eight.
    assert Alibi(scale=0.5).slopes(6) == [2.0**-e / 2 for e in (2, 4, 6, 8, 1, 3)]
