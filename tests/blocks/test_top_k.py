"""top_k: the suite, the routers of transformers, and choosing written with loops."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_blocks.top_k import TopK

from inferflow_core.block import all_params
from inferflow_core.errors import ShapeError
from inferflow_core.testing import RouterSuite

EXPERTS, TOKENS = 12, 50


class TestTopK(RouterSuite):
    name = "top_k"

    def make(self) -> TopK:
        return TopK(
            k=3, score="sigmoid", correction=True, groups=4, top_groups=2, group_score="top2"
        )


class TestSelected(RouterSuite):
    name = "top_k"

    def make(self) -> TopK:
        return TopK(k=2, score="softmax_selected", bias=True, scale=0.5)


def routed(block: TopK, experts: int = EXPERTS) -> tuple[Bench, Any, Any, Any]:
    """The bench, its input, and [tokens, experts] of chosen ones and of weights."""
    bench = Bench(block, dims_of(16, experts=experts))
    if block.correction:
        drawn = vectors(experts, seed=5) / 4
        bench.handles["correction"] = bench.weights["correction"] = drawn
    x = vectors(TOKENS, 16)
    index, weight = bench.run(x)
    assert index.dtype == np.int32
    assert index.shape == weight.shape == (TOKENS, block.k)
    return bench, x, index, dense(index, weight, experts)


def dense(index: Any, weight: Any, experts: int = EXPERTS) -> Any:
    """[tokens, experts]: its weight, and nan for those that are not chosen."""
    spread = np.full((len(index), experts), np.nan)
    np.put_along_axis(spread, np.asarray(index), np.asarray(weight, np.float64), 1)
    assert (np.isfinite(spread).sum(1) == index.shape[1]).all(), "an expert twice"
    return spread


def equal(found: Any, index: Any, weight: Any) -> None:
    expected = dense(index, weight, found.shape[1])
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    close(np.nan_to_num(found), np.nan_to_num(expected))


def test_equals_mixtral(reference: Any) -> None:
    bench, x, _, found = routed(TopK(k=2, renormalize=True))
    config = reference.config(
        "mixtral", hidden_size=16, num_local_experts=EXPERTS, num_experts_per_tok=2
    )
    router = reference.filled(reference.code("mixtral").MixtralTopKRouter(config), bench.handles)
    with reference.torch.no_grad():
        _, weight, index = router(reference.tensor(x))
    equal(found, index, weight)


@pytest.mark.parametrize("renormalize", [True, False])
def test_equals_qwen2_moe(renormalize: bool, reference: Any) -> None:
    bench, x, _, found = routed(TopK(k=4, renormalize=renormalize))
    config = reference.config(
        "qwen2_moe",
        hidden_size=16,
        num_experts=EXPERTS,
        num_experts_per_tok=4,
        norm_topk_prob=renormalize,
    )
    router = reference.filled(reference.code("qwen2_moe").Qwen2MoeTopKRouter(config), bench.handles)
    with reference.torch.no_grad():
        _, weight, index = router(reference.tensor(x))
    equal(found, index, weight)


def test_equals_gpt_oss(reference: Any) -> None:
    bench, x, index, found = routed(TopK(k=4, score="softmax_selected", bias=True))
    config = reference.config(
        "gpt_oss", hidden_size=16, num_local_experts=EXPERTS, num_experts_per_tok=4
    )
    router = reference.filled(reference.code("gpt_oss").GptOssTopKRouter(config), bench.handles)
    with reference.torch.no_grad():
        _, weight, theirs = router(reference.tensor(x))
    equal(found, theirs, weight)
    assert np.array_equal(index, theirs), "the best comes first"


@pytest.mark.parametrize(("groups", "top"), [(4, 2), (3, 1), (2, 2), (6, 5)])
def test_equals_deepseek_v2(groups: int, top: int, reference: Any) -> None:
    bench, x, _, found = routed(TopK(k=2, groups=groups, top_groups=top, scale=1.7))
    config = reference.config(
        "deepseek_v2",
        num_attention_heads=4,
        num_key_value_heads=4,
        hidden_size=16,
        n_routed_experts=EXPERTS,
        num_experts_per_tok=2,
        n_group=groups,
        topk_group=top,
        topk_method="group_limited_greedy",
        routed_scaling_factor=1.7,
    )
    code = reference.code("deepseek_v2")
    router = reference.filled(code.DeepseekV2TopkRouter(config), bench.handles)
    with reference.torch.no_grad():
        _, weight, index = router(reference.tensor(x))
    equal(found, index, weight)


@pytest.mark.parametrize(("groups", "top"), [(1, 1), (4, 2), (3, 1), (2, 2), (6, 5)])
@pytest.mark.parametrize("renormalize", [True, False])
def test_equals_deepseek_v3(groups: int, top: int, renormalize: bool, reference: Any) -> None:
    block = TopK(
        k=2,
        score="sigmoid",
        renormalize=renormalize,
        scale=2.5,
        correction=True,
        groups=groups,
        top_groups=top,
        group_score="top2",
    )
    bench, x, _, found = routed(block)
    config = reference.config(
        "deepseek_v3",
        hidden_size=16,
        n_routed_experts=EXPERTS,
        num_experts_per_tok=2,
        n_group=groups,
        topk_group=top,
        norm_topk_prob=renormalize,
        routed_scaling_factor=2.5,
    )
    weights = dict(bench.handles)
    weights["e_score_correction_bias"] = weights.pop("correction")
    code = reference.code("deepseek_v3")
    router = reference.filled(code.DeepseekV3TopkRouter(config), weights)
    with reference.torch.no_grad():
        _, weight, index = router(reference.tensor(x))
    equal(found, index, weight)


@pytest.mark.parametrize("score", ["softmax", "sigmoid", "softmax_selected"])
@pytest.mark.parametrize("group_score", ["max", "top2"])
@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("renormalize", [True, False])
def test_any_mix_of_fields_is_what_loops_choose(
    score: Any, group_score: Any, correction: bool, bias: bool, renormalize: bool
) -> None:
    block = TopK(
        k=3,
        score=score,
        group_score=group_score,
        correction=correction,
        bias=bias,
        renormalize=renormalize,
        scale=0.75,
        groups=4,
        top_groups=2,
    )
    bench, x, index, found = routed(block)
    w = {name: array.astype(np.float64) for name, array in bench.handles.items()}
    for token in range(TOKENS):
        logits = w["weight"] @ x[token] + (w["bias"] if bias else 0)
        scores = {
            "softmax": np.exp(logits) / np.exp(logits).sum(),
            "sigmoid": 1 / (1 + np.exp(-logits)),
            "softmax_selected": logits,
        }[score]
        wish = scores + (w["correction"] if correction else 0)
        members = [list(range(3 * g, 3 * g + 3)) for g in range(4)]
        rank = {"max": 1, "top2": 2}[group_score]
        order = sorted(members, key=lambda m: -sum(sorted(wish[m])[-rank:]))
        allowed = [*order[0], *order[1]]
        chosen = sorted(allowed, key=lambda expert: -wish[expert])[:3]
        weight = np.exp(scores) if score == "softmax_selected" else scores
        weight = weight[chosen]
        if renormalize or score == "softmax_selected":
            weight = weight / weight.sum()
        assert index[token].tolist() == chosen
        np.testing.assert_allclose(found[token, chosen], 0.75 * weight, rtol=1e-5)


def test_sigmoids_of_nothing_weigh_nothing() -> None:
    bench, x, *_ = routed(TopK(k=2, score="sigmoid", renormalize=True, bias=True))
    bench.handles["bias"] = np.full(EXPERTS, -1e4, np.float32)
    with np.errstate(over="ignore"):
        _, weight = bench.run(x)
    assert np.array_equal(weight, np.zeros((TOKENS, 2)))


def params(block: TopK) -> Any:
    return all_params(block, dims_of(16, experts=EXPERTS))


def test_numbers_that_contradict() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        TopK(k=0)
    with pytest.raises(ValueError, match="top_groups is 3; there are 2 groups"):
        TopK(k=1, groups=2, top_groups=3)
    with pytest.raises(ShapeError, match=r"k is 13; a token can choose from 12$"):
        params(TopK(k=13))
    with pytest.raises(ShapeError, match="k is 4; a token can choose from 3 of 1 groups"):
        params(TopK(k=4, groups=4))
    with pytest.raises(ShapeError, match="12 experts cannot be 5 equal groups"):
        params(TopK(k=1, groups=5))
    with pytest.raises(ShapeError, match="top2 needs two experts in a group"):
        params(TopK(k=1, groups=12, top_groups=2, group_score="top2"))
    with pytest.raises(ShapeError, match="stands in a block of experts"):
        TopK(k=1).params(dims_of(16))
