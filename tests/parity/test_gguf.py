"""The same models as GGUF files, as llama.cpp's converter writes them."""

from pathlib import Path
from typing import Any

import decoders
import pytest
import test_gemma
import test_llama
import test_phi3
import test_qwen
from checkpoints import SMALL, compare, each_size, prompts, randomise, save
from gguf_files import round_matrices, write
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)


def llama(variant: str, depth: int) -> Any:
    keys = SMALL | test_llama.VARIANTS[variant]
    return LlamaForCausalLM(LlamaConfig(**keys, num_hidden_layers=depth))


def qwen(variant: str, depth: int) -> Any:
    config, model, keys = test_qwen.VARIANTS[variant]
    return model(config(**SMALL | keys, num_hidden_layers=depth))


def phi3(variant: str, depth: int) -> Any:
    keys = test_phi3.KEYS | test_phi3.VARIANTS[variant]
    return Phi3ForCausalLM(Phi3Config(**keys, num_hidden_layers=depth))


def other(variant: str, depth: int) -> Any:
    return decoders.build(variant, depth)


def smollm3(_: str, depth: int) -> Any:
    """No key of GGUF says which layers have no positions: every fourth."""
    config = SmolLM3Config(**SMALL | decoders.SPECIAL, num_hidden_layers=depth + 3)
    return SmolLM3ForCausalLM(config)


def gemma2(_: str, depth: int) -> Any:
    """No key of GGUF has the scale: it is 1 / sqrt(head_dim) but in 27B."""
    return test_gemma.gemma2(
        depth, query_pre_attn_scalar=24, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
    )


def gemma3(_: str, depth: int) -> Any:
    ropes = test_gemma.ROPES | {"sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
    return test_gemma.gemma3(depth + 5, query_pre_attn_scalar=24, rope_parameters=ropes)


FILES: dict[str, Any] = {
    "llama3_0": llama,
    "llama3_1": llama,
    "llama3_2": llama,
    "qwen2": qwen,
    "qwen2-yarn": qwen,
    "qwen2_moe": qwen,
    "qwen3": qwen,
    "qwen3_moe": qwen,
    "gemma": lambda _, depth: test_gemma.gemma(depth),
    "gemma2": gemma2,
    "gemma3": gemma3,
    **dict.fromkeys(("granite", "olmo2", "starcoder2"), other),
    "smollm3": smollm3,
    "phi3_mini_4k": phi3,
    "phi3_5_mini": phi3,
    "phi4": phi3,
    "phi4_mini": phi3,
}


@each_size
@pytest.mark.parametrize("name", FILES)
def test_a_gguf_agrees(tmp_path: Path, name: str, seed: int, depth: int, backend: str) -> None:
    model = FILES[name](name, depth)
    save(model, tmp_path, seed)
    long = "original_max_position_embeddings" in test_phi3.VARIANTS.get(name, {})
    ids = prompts(lengths=(34, 21, 29) if long else (1, 5, 34, 19), seed=seed)
    compare(write(tmp_path, model), model, ids, backend=backend)


@pytest.mark.parametrize("name", ["llama3_1", "qwen2", "gemma2", "gemma3", "phi3_mini_4k"])
def test_a_packed_gguf_agrees(tmp_path: Path, name: str) -> None:
    """Rows that are cut, paired, tied and scaled while they are packed."""
    model = FILES[name](name, 2)
    randomise(model, 7)
    round_matrices(model)
    model.save_pretrained(tmp_path)
    ids = prompts(lengths=(26, 3))
    compare(write(tmp_path, model, packed=True), model, ids, greedy=6)
