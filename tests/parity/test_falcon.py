"""falcon: 7B, 40B, 11B and the RW models, and the name maps hf_falcon and hf_falcon_grouped."""

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import SMALL, compare, each_size, prompts, save
from inferflow_runtime.build import inspect_model
from transformers import FalconConfig, FalconForCausalLM

from inferflow_core.spec import show

NEW = {"new_decoder_architecture": True, "num_attention_heads": 8, "num_kv_heads": 2}
VARIANTS: dict[str, dict[str, Any]] = {
    "7b": {},
    "40b": NEW,
    "11b": {**NEW, "num_ln_in_parallel_attn": 1, "ffn_hidden_size": 144, "bias": True},
    # Powers of two as slopes: the class computes these biases in bfloat16.
    "rw": {"multi_query": False, "parallel_attn": False, "alibi": True, "bias": True},
    "rw_rope": {"multi_query": False, "parallel_attn": False},
}


def small(variant: str, depth: int) -> Any:
    kept = ("vocab_size", "hidden_size", "num_attention_heads", "max_position_embeddings")
    config: dict[str, Any] = {key: SMALL[key] for key in kept} | {"num_hidden_layers": depth}
    return FalconConfig(**config | {"layer_norm_epsilon": 0.02} | VARIANTS[variant])


@each_size
@pytest.mark.parametrize("variant", VARIANTS)
def test_falcon_agrees(tmp_path: Path, variant: str, seed: int, depth: int, backend: str) -> None:
    model = FalconForCausalLM(small(variant, depth))
    compare(save(model, tmp_path, seed), model, prompts(seed=seed), backend=backend)


@pytest.mark.parametrize("variant", ["rw", "7b"])
def test_files_may_lack_what_the_family_supplies(tmp_path: Path, variant: str) -> None:
    """The published files are older than many keys: heads of k and v, context, norms."""
    model = FalconForCausalLM(small(variant, 2))
    folder = save(model, tmp_path, 2)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    unwritten = ("num_kv_heads", "num_ln_in_parallel_attn", "max_position_embeddings")
    unwritten += ("ffn_hidden_size", "activation", "rope_parameters", "tie_word_embeddings")
    for key in unwritten:
        config.pop(key, None)
    old = {"num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}
    config = {old.get(key, key): value for key, value in config.items()}
    config["model_type"] = "RefinedWebModel"
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    compare(folder, model, prompts(seed=2), greedy=2)
    spec = show(inspect_model(folder).plan)
    assert ("num_key_value_heads = 4" in spec) == (variant == "rw")
    written = folder / "shown.toml"
    written.write_text(spec.replace("[weights]", '[weights]\npath = "."'), "utf-8")
    compare(written, model, prompts(seed=2), greedy=2)
