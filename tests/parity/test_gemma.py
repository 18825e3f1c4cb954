"""gemma, gemma2, gemma3: windows by layer type, soft caps, two rope bases, norms of 1 + weight."""

from pathlib import Path
from typing import Any

import pytest
from checkpoints import SMALL, compare, prompts, save
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
)

SPECIAL = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1}
KEYS = SMALL | SPECIAL | {"head_dim": 24}
ROPES = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
}
GEMMA3 = {"query_pre_attn_scalar": 10, "sliding_window": 7, "rope_parameters": ROPES}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


def gemma(depth: int) -> Any:
    return GemmaForCausalLM(GemmaConfig(**KEYS, num_hidden_layers=depth))


def gemma2(depth: int, **keys: Any) -> Any:
    keys = {"query_pre_attn_scalar": 10, "sliding_window": 7} | keys
    return Gemma2ForCausalLM(Gemma2Config(**KEYS | keys, num_hidden_layers=depth))


def gemma2_capped(depth: int) -> Any:
    """Caps of the size of the scores and logits."""
    return gemma2(depth, attn_logit_softcapping=2.0, final_logit_softcapping=3.0)


def gemma3(depth: int, **keys: Any) -> Any:
    return Gemma3ForCausalLM(Gemma3TextConfig(**KEYS | GEMMA3 | keys, num_hidden_layers=depth))


def gemma3_typed(depth: int) -> Any:
    """The layer types in an order of their own; q, k, v and o have biases."""
    types = ["full_attention", "sliding_attention", "sliding_attention"] * depth
    return gemma3(depth, layer_types=types[:depth], attention_bias=True)


def gemma3_with_images(depth: int) -> Any:
    text = Gemma3TextConfig(**KEYS | GEMMA3, num_hidden_layers=depth)
    config = Gemma3Config(text_config=text, vision_config=VISION, mm_tokens_per_image=4, **SPECIAL)
    return Gemma3ForConditionalGeneration(config)


def embedding_gemma(depth: int) -> Any:
    return gemma3(depth, use_bidirectional_attention=True, sliding_window=8)


DEPTHS = {
    gemma: (2, 3),
    gemma2: (2, 3),
    gemma2_capped: (2, 3),
    gemma3: (6, 7),
    gemma3_typed: (3, 4),
}
DEPTHS |= {gemma3_with_images: (6, 7), embedding_gemma: (6, 7)}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("make", DEPTHS)
def test_gemma_agrees(tmp_path: Path, make: Any, seed: int, backend: str) -> None:
    model = make(DEPTHS[make][seed])
    greedy = 0 if make is embedding_gemma else 24  # it sees both ways and is not there to write
    ids = prompts(seed=seed)
    compare(save(model, tmp_path, seed), model, ids, backend=backend, greedy=greedy)
