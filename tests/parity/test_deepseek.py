"""deepseek_v2 (V2, V2-Lite), deepseek_v3 (V3, R1); hf_deepseek_v2 and hf_deepseek_v3"""

from pathlib import Path
from typing import Any

import pytest
from checkpoints import SMALL, compare, each_size, prompts, save, torch
from safetensors.torch import load_file, save_file
from transformers import (
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
)

YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 32,
    "beta_slow": 1,
}
LATENT = {
    **SMALL,
    "num_key_value_heads": 4,
    "kv_lora_rank": 20,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
    "moe_intermediate_size": 24,
    "n_routed_experts": 12,
    "num_experts_per_tok": 3,
    "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.7,
}
GROUPS = {"n_group": 4, "topk_group": 2}
MSCALE = {"mscale": 0.707, "mscale_all_dim": 0.707}
V2: dict[str, dict[str, Any]] = {
    "v2_lite": {"q_lora_rank": None, "n_shared_experts": 2, "rope_parameters": YARN | MSCALE},
    "v2": {
        "q_lora_rank": 28,
        "n_shared_experts": 1,
        "topk_method": "group_limited_greedy",
        **GROUPS,
        "rope_parameters": YARN | {"mscale": 1.0, "mscale_all_dim": 0.6},
    },
    "biases": {"q_lora_rank": 28, "attention_bias": True},
}
V3: dict[str, dict[str, Any]] = {
    "v3": {"rope_parameters": YARN | {"mscale": 1.0, "mscale_all_dim": 1.0}},
    "halves": {"rope_interleave": False, "q_lora_rank": None, "norm_topk_prob": False},
}


@each_size
@pytest.mark.parametrize("variant", V2)
def test_v2_agrees(tmp_path: Path, variant: str, seed: int, depth: int, backend: str) -> None:
    model = DeepseekV2ForCausalLM(DeepseekV2Config(**LATENT | V2[variant], num_hidden_layers=depth))
    compare(save(model, tmp_path, seed), model, prompts(seed=seed), backend=backend)


@each_size
@pytest.mark.parametrize("variant", V3)
def test_v3_agrees(tmp_path: Path, variant: str, seed: int, depth: int, backend: str) -> None:
    config = LATENT | {"q_lora_rank": 28, "n_shared_experts": 1} | GROUPS | V3[variant]
    model = DeepseekV3ForCausalLM(DeepseekV3Config(**config, num_hidden_layers=depth))
    folder = save(model, tmp_path, seed)
    predicts_a_second_token(folder, depth)
    compare(folder, model, prompts(seed=seed), backend=backend)


def predicts_a_second_token(folder: Path, depth: int) -> None:
    """Adds what the published files hold beyond the last layer: one more, and parts of its own."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    last = f"model.layers.{depth - 1}."
    more = {name.replace(last, f"model.layers.{depth}."): name for name in tensors if last in name}
    tensors |= {name: tensors[old].clone() for name, old in more.items()}
    for part in ("enorm", "hnorm", "eh_proj", "shared_head.norm", "shared_head.head"):
        tensors[f"model.layers.{depth}.{part}.weight"] = torch.ones(2, 2)
    tensors[f"model.layers.{depth}.embed_tokens.weight"] = torch.ones(2, 2)
    save_file(tensors, file, {"format": "pt"})
