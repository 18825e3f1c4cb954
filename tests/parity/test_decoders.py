"""More decoders whose parts were known: each is a spec and, where its tensors have names of their
own, a map (hf_gpt2, hf_gpt_bigcode, hf_gptj, hf_gpt_neo, hf_olmo2, hf_starcoder2, hf_granitemoe,
hf_stablelm)."""

from pathlib import Path
from typing import Any

import pytest
import transformers
from checkpoints import SMALL, VOCAB, compare, each_size, prompts, save

OLD: dict[str, Any] = {
    "vocab_size": VOCAB,
    "n_positions": 64,
    "n_embd": 48,
    "n_head": 4,
    "layer_norm_epsilon": 0.02,
}
ROUTED = {"num_experts": 6, "num_experts_per_tok": 2, "num_local_experts": 6}
NORMED = {"layer_norm_eps": 0.02}
MULTIPLIED = {
    "embedding_multiplier": 3.0,
    "logits_scaling": 0.5,
    "residual_multiplier": 0.6,
    "attention_multiplier": 0.3,
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "olmo": ("Olmo", {**SMALL, "clip_qkv": 0.8, "tie_word_embeddings": True}),
    "olmo2": ("Olmo2", SMALL),
    "olmoe": ("Olmoe", {**SMALL, **ROUTED}),
    "olmoe-renormalized": ("Olmoe", {**SMALL, **ROUTED, "norm_topk_prob": True}),
    "gpt2": ("GPT2", OLD),
    "gpt2-unscaled": ("GPT2", {**OLD, "scale_attn_weights": False, "n_inner": 80}),
    "gpt_bigcode": ("GPTBigCode", OLD),
    "gpt_bigcode-heads": ("GPTBigCode", {**OLD, "multi_query": False}),
    "gptj": ("GPTJ", {**OLD, "rotary_dim": 8}),
    "gpt_neo": (
        "GPTNeo",
        {
            "vocab_size": VOCAB,
            "max_position_embeddings": 64,
            "hidden_size": 48,
            "num_heads": 4,
            "window_size": 7,
            "layer_norm_epsilon": 0.02,
        },
    ),
    "starcoder2": ("Starcoder2", {**SMALL, "sliding_window": 7, "norm_epsilon": 0.02}),
    "starcoder2-plain": ("Starcoder2", {**SMALL, "use_bias": False, "norm_epsilon": 0.02}),
    "cohere": ("Cohere", {**SMALL, **NORMED, "use_qk_norm": True, "logit_scale": 0.7}),
    "cohere-plain": ("Cohere", {**SMALL, **NORMED, "attention_bias": True, "logit_scale": 0.7}),
    "cohere2": (
        "Cohere2",
        {**SMALL, **NORMED, "logit_scale": 0.7, "sliding_window": 7, "sliding_window_pattern": 2},
    ),
    "granite": ("Granite", {**SMALL, **MULTIPLIED}),
    "granitemoe": ("GraniteMoe", {**SMALL, **MULTIPLIED, **ROUTED}),
    "stablelm": ("StableLm", {**SMALL, **NORMED, "use_qkv_bias": True}),
    "stablelm-parallel": (
        "StableLm",
        {**SMALL, **NORMED, "use_parallel_residual": True, "qk_layernorm": True},
    ),
}


def build(variant: str, depth: int) -> Any:
    name, keys = VARIANTS[variant]
    depths: dict[str, Any] = {"num_hidden_layers": depth}
    if "n_head" in keys:
        depths = {"n_layer": depth}
    if name == "GPTNeo":
        kinds = [[["local"], 1], [["global"], depth - 1]]
        depths = {"num_layers": depth, "attention_types": kinds}
    config = getattr(transformers, f"{name}Config")(**keys | depths)
    head = "LMHeadModel" if name == "GPT2" else "ForCausalLM"
    return getattr(transformers, name + head)(config)


@each_size
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_agrees(tmp_path: Path, variant: str, seed: int, depth: int, backend: str) -> None:
    model = build(variant, depth)
    compare(save(model, tmp_path, seed), model, prompts(seed=seed), backend=backend)
