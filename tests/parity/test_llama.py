"""llama: Llama 2 and 3 with every spelling of rope scaling."""

from pathlib import Path
from typing import Any

import pytest
from checkpoints import SMALL, compare, each_size, prompts, save
from transformers import LlamaConfig, LlamaForCausalLM

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 24,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "llama3_0": {"rope_theta": 5e5, "tie_word_embeddings": False},
    "llama3_1": {"rope_parameters": {"rope_theta": 5e5, **LLAMA3}, "tie_word_embeddings": False},
    "llama3_2": {
        "rope_parameters": {"rope_theta": 5e5, **LLAMA3, "factor": 32.0},
        "tie_word_embeddings": True,
        "head_dim": 24,
    },
    "falcon3": {"rope_theta": 1000042.0, "head_dim": 32, "num_key_value_heads": 1},
    "biases": {"attention_bias": True, "mlp_bias": True},
}


@each_size
@pytest.mark.parametrize("variant", VARIANTS)
def test_llama_agrees(tmp_path: Path, variant: str, seed: int, depth: int, backend: str) -> None:
    config = LlamaConfig(**SMALL | VARIANTS[variant], num_hidden_layers=depth)
    model = LlamaForCausalLM(config)
    compare(save(model, tmp_path, seed), model, prompts(seed=seed), backend=backend)
