"""Decoders of `transformers`, small: keys of a config by variant, and the class made of them."""

from typing import Any

from checkpoints import SMALL, VOCAB, transformers

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
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WITHOUT_EPS = {key: value for key, value in SMALL.items() if key != "rms_norm_eps"}
FULL = "full_attention"
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
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
    "glm4": ("Glm4", {**SMALL, "head_dim": 20, "pad_token_id": 0}),
    "smollm3": ("SmolLM3", {**SMALL, "no_rope_layer_interval": 2, **SPECIAL}),
    "nemotron": ("Nemotron", {**WITHOUT_EPS, "norm_eps": 0.02}),
    "arcee": ("Arcee", {**SMALL, **SPECIAL, "mlp_bias": True}),
    "seed_oss": ("SeedOss", {**SMALL, "head_dim": 20, "attention_out_bias": True}),
    "ernie4_5": ("Ernie4_5", {**SMALL, "head_dim": 20, "use_bias": True}),
    "helium": ("Helium", {**SMALL, "head_dim": 16, "attention_bias": True}),
    "exaone4": ("Exaone4", {**SMALL, "sliding_window": 7, "sliding_window_pattern": 2}),
    "exaone4-whole": ("Exaone4", {**SMALL, "sliding_window": None, "layer_types": [FULL, FULL]}),
    "olmo3": (
        "Olmo3",
        {
            **SMALL,
            "sliding_window": 7,
            "rope_scaling": YARN,
            "layer_types": ["sliding_attention", FULL],
        },
    ),
    "mpt": ("Mpt", {"vocab_size": VOCAB, "d_model": 48, "n_heads": 6, "max_seq_len": 64}),
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
    if name == "Mpt":
        depths = {"n_layers": depth}
    if "layer_types" in keys:
        depths["layer_types"] = keys["layer_types"][:1] * (depth - 1) + keys["layer_types"][1:]
    if name == "GPTNeo":
        kinds = [[["local"], 1], [["global"], depth - 1]]
        depths = {"num_layers": depth, "attention_types": kinds}
    config = getattr(transformers, f"{name}Config")(**keys | depths)
    head = "LMHeadModel" if name == "GPT2" else "ForCausalLM"
    return getattr(transformers, name + head)(config)
