"""qwen2, qwen2_moe, qwen3 and qwen3_moe, with windows in no, some and all layers."""

from pathlib import Path
from typing import Any

import pytest
from checkpoints import SMALL, compare, each_size, prompts, save
from transformers import (
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
WINDOW = {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 40}
VARIANTS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {"sliding_window": 7}),
    "qwen2-tied": (Qwen2Config, Qwen2ForCausalLM, {"tie_word_embeddings": True, **WINDOW}),
    "qwen2-yarn": (Qwen2Config, Qwen2ForCausalLM, {"rope_parameters": {"rope_theta": 1e6, **YARN}}),
    "qwen2_moe": (
        Qwen2MoeConfig,
        Qwen2MoeForCausalLM,
        {"shared_expert_intermediate_size": 56, **EXPERTS},
    ),
    "qwen2_moe-mixed": (
        Qwen2MoeConfig,
        Qwen2MoeForCausalLM,
        {
            "shared_expert_intermediate_size": 56,
            "norm_topk_prob": True,
            "decoder_sparse_step": 2,
            "qkv_bias": False,
            **WINDOW,
            "max_window_layers": 2,
            **EXPERTS,
        },
    ),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 24}),
    "qwen3-window": (
        Qwen3Config,
        Qwen3ForCausalLM,
        {"head_dim": 16, "tie_word_embeddings": True, "attention_bias": True, **WINDOW},
    ),
    "qwen3_moe": (
        Qwen3MoeConfig,
        Qwen3MoeForCausalLM,
        {"head_dim": 24, "norm_topk_prob": True, **EXPERTS},
    ),
    "qwen3_moe-mixed": (
        Qwen3MoeConfig,
        Qwen3MoeForCausalLM,
        {"head_dim": 16, "mlp_only_layers": [0], **WINDOW, **EXPERTS},
    ),
    "qwen3_moe-sparse": (
        Qwen3MoeConfig,
        Qwen3MoeForCausalLM,
        {"head_dim": 16, "decoder_sparse_step": 2, "attention_bias": True, **EXPERTS},
    ),
}


@each_size
@pytest.mark.parametrize("variant", VARIANTS)
def test_qwen_agrees(tmp_path: Path, variant: str, seed: int, depth: int, backend: str) -> None:
    config, model, keys = VARIANTS[variant]
    made = model(config(**SMALL | keys, num_hidden_layers=depth))
    compare(save(made, tmp_path, seed), made, prompts(seed=seed), backend=backend)
