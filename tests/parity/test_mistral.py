"""mistral: head widths of their own (Nemo), layer types (Ministral), the text of an image model."""

from pathlib import Path
from typing import Any

import pytest
from checkpoints import SMALL, compare, each_size, prompts, save
from transformers import (
    MinistralConfig,
    MinistralForCausalLM,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    MistralForCausalLM,
)

VISION = {
    "model_type": "pixtral",
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "head_dim": 8,
    "image_size": 28,
    "patch_size": 14,
}


def mistral(depth: int) -> Any:
    return MistralForCausalLM(MistralConfig(**SMALL, sliding_window=7, num_hidden_layers=depth))


def nemo(depth: int) -> Any:
    keys = SMALL | {"head_dim": 24, "sliding_window": None, "rope_theta": 1e6}
    return MistralForCausalLM(MistralConfig(**keys, num_hidden_layers=depth))


def ministral(depth: int) -> Any:
    types = ["full_attention", "sliding_attention", "sliding_attention"][:depth]
    keys = SMALL | {"head_dim": 24, "sliding_window": 7, "layer_types": types}
    return MinistralForCausalLM(MinistralConfig(**keys, num_hidden_layers=depth))


def small_3_1(depth: int) -> Any:
    text = MistralConfig(**SMALL, head_dim=24, sliding_window=None, num_hidden_layers=depth)
    config = Mistral3Config(text_config=text, vision_config=VISION, tie_word_embeddings=False)
    return Mistral3ForConditionalGeneration(config)


@each_size
@pytest.mark.parametrize("make", [mistral, nemo, ministral, small_3_1])
def test_mistral_agrees(tmp_path: Path, make: Any, seed: int, depth: int, backend: str) -> None:
    model = make(depth)
    compare(save(model, tmp_path, seed), model, prompts(seed=seed), backend=backend)
