"""moe: the suite, and the mixtures of transformers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.mlp import MLP
from inferflow_blocks.moe import MoE
from inferflow_blocks.top_k import TopK

from inferflow_core.block import FFN, Param, all_params
from inferflow_core.errors import ShapeError
from inferflow_core.testing import FFNSuite

HIDDEN, WIDTH, EXPERTS, TOKENS = 16, 10, 8, 40
EXPERT = GatedMLP(hidden=WIDTH, act="silu")


class TestMoE(FFNSuite):
    name = "moe"

    def make(self) -> MoE:
        expert = GatedMLP(hidden=20, act="silu", bias=True)
        shared = GatedMLP(hidden=24, act="silu")
        router = TopK(k=2, renormalize=True)
        return MoE(experts=6, router=router, expert=expert, shared=shared, shared_gate=True)


class TestPlainExperts(FFNSuite):
    name = "moe"

    def make(self) -> MoE:
        return MoE(experts=5, router=TopK(k=5, score="sigmoid"), expert=MLP(hidden=9, act="relu"))


def stacked(w: dict[str, Any]) -> dict[str, Any]:
    """Experts as transformers keep them: gate above up."""
    fused = np.concatenate([w["experts.gate.weight"], w["experts.up.weight"]], axis=1)
    return {"experts.gate_up_proj": fused, "experts.down_proj": w["experts.down.weight"]}


def always(w: dict[str, Any], name: str) -> dict[str, Any]:
    """The shared expert."""
    return {
        f"{name}.{part}_proj.weight": w[f"shared.{part}.weight"] for part in ("gate", "up", "down")
    }


def compare(block: MoE, theirs: Any, weights: Callable[[Any], Any], reference: Any) -> None:
    bench = Bench(block, dims_of(HIDDEN))
    if "router.correction" in bench.handles:
        bench.handles["router.correction"] = vectors(EXPERTS, seed=3) / 4
    reference.filled(theirs, weights(bench.handles))
    x = vectors(TOKENS, HIDDEN)
    close(bench.run(x), reference.run(theirs, reference.tensor(x)[None]))


def test_equals_mixtral(reference: Any) -> None:
    config = reference.config(
        "mixtral",
        hidden_size=HIDDEN,
        intermediate_size=WIDTH,
        num_local_experts=EXPERTS,
        num_experts_per_tok=2,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    block = MoE(experts=EXPERTS, router=TopK(k=2, renormalize=True), expert=EXPERT)
    theirs = reference.code("mixtral").MixtralSparseMoeBlock(config)
    compare(block, theirs, lambda w: {**stacked(w), "gate.weight": w["router.weight"]}, reference)


def test_equals_qwen2_moe_with_a_gate_of_the_shared_expert(reference: Any) -> None:
    config = reference.config(
        "qwen2_moe",
        hidden_size=HIDDEN,
        moe_intermediate_size=WIDTH,
        shared_expert_intermediate_size=14,
        num_experts=EXPERTS,
        num_experts_per_tok=3,
        norm_topk_prob=False,
    )
    shared = GatedMLP(hidden=14, act="silu")
    block = MoE(experts=EXPERTS, router=TopK(k=3), expert=EXPERT, shared=shared, shared_gate=True)
    theirs = reference.code("qwen2_moe").Qwen2MoeSparseMoeBlock(config)

    def weights(w: Any) -> Any:
        gates = {"gate.weight": w["router.weight"]}
        gates["shared_expert_gate.weight"] = w["shared_gate.weight"]
        return {**stacked(w), **always(w, "shared_expert"), **gates}

    compare(block, theirs, weights, reference)


@pytest.mark.parametrize("version", [2, 3])
def test_equals_deepseek(version: int, reference: Any) -> None:
    """Two shared experts are one of twice the width."""
    config = reference.config(
        f"deepseek_v{version}",
        hidden_size=HIDDEN,
        num_attention_heads=4,
        num_key_value_heads=4,
        moe_intermediate_size=WIDTH,
        n_routed_experts=EXPERTS,
        n_shared_experts=2,
        num_experts_per_tok=2,
        n_group=4,
        topk_group=2,
        routed_scaling_factor=1.5,
        **({"topk_method": "group_limited_greedy"} if version == 2 else {"norm_topk_prob": True}),
    )
    router = TopK(k=2, groups=4, top_groups=2, scale=1.5)
    if version == 3:
        router = TopK(
            k=2,
            score="sigmoid",
            renormalize=True,
            correction=True,
            groups=4,
            top_groups=2,
            group_score="top2",
            scale=1.5,
        )
    shared = GatedMLP(hidden=2 * WIDTH, act="silu")
    block = MoE(experts=EXPERTS, router=router, expert=EXPERT, shared=shared)
    code = reference.code(f"deepseek_v{version}")
    theirs = {2: "DeepseekV2Moe", 3: "DeepseekV3MoE"}[version]

    def weights(w: Any) -> Any:
        gate = {"gate.weight": w["router.weight"]}
        if version == 3:
            gate["gate.e_score_correction_bias"] = w["router.correction"]
        return {**stacked(w), **always(w, "shared_experts"), **gate}

    compare(block, getattr(code, theirs)(config), weights, reference)


def test_equals_gpt_oss_with_limits_offsets_and_biases(reference: Any) -> None:
    """Its gates and ups alternate, and its matrices are [in, out]."""
    config = reference.config(
        "gpt_oss",
        hidden_size=HIDDEN,
        intermediate_size=WIDTH,
        num_local_experts=EXPERTS,
        num_experts_per_tok=4,
        swiglu_limit=0.6,
        swiglu_alpha=1.702,
    )
    expert = GatedMLP(hidden=WIDTH, act="quick_gelu", bias=True, limit=0.6, up_offset=1.0)
    router = TopK(k=4, score="softmax_selected", bias=True)
    block = MoE(experts=EXPERTS, router=router, expert=expert)
    theirs = reference.code("gpt_oss").GptOssMLP(config)

    def weights(w: Any) -> Any:
        def woven(kind: str) -> Any:
            gate, up = w[f"experts.gate.{kind}"], w[f"experts.up.{kind}"]
            return np.stack([gate, up], axis=2).reshape(EXPERTS, 2 * WIDTH, *gate.shape[2:])

        return {
            "router.weight": w["router.weight"],
            "router.bias": w["router.bias"],
            "experts.gate_up_proj": woven("weight").swapaxes(1, 2),
            "experts.gate_up_proj_bias": woven("bias"),
            "experts.down_proj": w["experts.down.weight"].swapaxes(1, 2),
            "experts.down_proj_bias": w["experts.down.bias"],
        }

    compare(block, theirs, weights, reference)


def test_one_expert_of_weight_one_is_that_expert() -> None:
    block = MoE(experts=1, router=TopK(k=1), expert=EXPERT)
    bench = Bench(block, dims_of(HIDDEN))
    alone = {
        path.removeprefix("experts."): array[0]
        for path, array in bench.handles.items()
        if path.startswith("experts.")
    }
    x = vectors(TOKENS, HIDDEN)
    close(bench.run(x), Bench(EXPERT, dims_of(HIDDEN), alone).run(x), 1e-6)


@dataclass(frozen=True, kw_only=True)
class Scaled(FFN):
    """An ffn that uses a weight by something else than `linear`."""

    def params(self, dims: Any) -> dict[str, Param]:
        return {"scale": Param(dims.hidden)}

    def forward(self, ops: Any, w: Any, x: Any, ctx: Any) -> Any:
        return x * ops.value(w.scale)


def test_an_expert_that_cannot_be_routed_is_told() -> None:
    bench = Bench(MoE(experts=4, router=TopK(k=2), expert=Scaled()), dims_of(HIDDEN))
    with pytest.raises(ShapeError, match="by `linear` alone; this one by 'value'"):
        bench.run(vectors(3, HIDDEN))


def test_fields_that_contradict() -> None:
    router = TopK(k=9)
    with pytest.raises(ValueError, match="shared_gate is about the shared expert"):
        MoE(experts=4, router=router, expert=EXPERT, shared_gate=True)
    with pytest.raises(ValueError, match="experts is 0"):
        MoE(experts=0, router=router, expert=EXPERT)
    with pytest.raises(ShapeError, match="k is 9; a token can choose from 4 at router"):
        all_params(MoE(experts=4, router=router, expert=EXPERT), dims_of(HIDDEN))
