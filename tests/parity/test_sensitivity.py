"""What the comparisons rest on: every tensor and every key of a config that says something of the
network moves the logits of the tiny models, so none of them can be passed over unseen."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_gemma
import test_llama
import test_mistral
import test_phi3
import test_qwen
from checkpoints import SMALL, prompts, save
from safetensors.numpy import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

import inferflow_core
from inferflow_core.errors import InferflowError

IDS = prompts(lengths=(32,))
SILENT = {
    *("architectures", "dtype", "transformers_version", "use_cache", "initializer_range"),
    *("attention_dropout", "embd_pdrop", "resid_pdrop", "pretraining_tp", "router_aux_loss_coef"),
    *("output_router_logits", "bos_token_id", "eos_token_id", "pad_token_id", "model_type"),
    *("boi_token_index", "eoi_token_index", "image_token_index", "mm_tokens_per_image"),
    *("vision_config", "_sliding_window_pattern", "chunk_size_feed_forward", "is_encoder_decoder"),
}
"""Keys that say nothing of the network."""


def llama3_1(depth: int) -> Any:
    keys = SMALL | test_llama.VARIANTS["llama3_1"] | {"head_dim": 16}
    return LlamaForCausalLM(LlamaConfig(**keys, num_hidden_layers=depth))


def phi4_mini(depth: int) -> Any:
    keys = test_phi3.KEYS | test_phi3.VARIANTS["phi4_mini"] | {"sliding_window": 30}
    return Phi3ForCausalLM(Phi3Config(**keys, num_hidden_layers=depth))


def qwen(variant: str) -> Callable[[int], Any]:
    config, model, keys = test_qwen.VARIANTS[variant]
    return lambda depth: model(config(**SMALL | keys, num_hidden_layers=depth))


MODELS: dict[str, tuple[Callable[[int], Any], int, set[str]]] = {
    "llama": (llama3_1, 2, {"max_position_embeddings"}),
    "mistral": (test_mistral.mistral, 2, {"max_position_embeddings"}),
    "qwen2": (qwen("qwen2-tied"), 2, {"max_position_embeddings", "max_window_layers"}),
    "qwen2_moe": (qwen("qwen2_moe-mixed"), 2, {"max_position_embeddings", "max_window_layers"}),
    "qwen3": (qwen("qwen3-window"), 2, {"max_position_embeddings", "max_window_layers"}),
    "qwen3_moe": (qwen("qwen3_moe-mixed"), 3, {"max_position_embeddings", "max_window_layers"}),
    "gemma": (test_gemma.gemma, 2, {"max_position_embeddings", "hidden_act"}),
    "gemma2": (test_gemma.gemma2_capped, 2, {"max_position_embeddings"}),
    "gemma3": (test_gemma.gemma3, 6, {"max_position_embeddings"}),
    "phi3": (phi4_mini, 2, {"short_factor", "original_max_position_embeddings"}),
}
"""Maker, depth, and keys that say something in other files only: Phi-3 has its original context
twice."""


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 1.5
    if isinstance(value, list) and value and isinstance(value[0], str):
        return value[::-1] if value[::-1] != value else ["full_attention"] * len(value)
    if isinstance(value, list):
        return [changed(item) for item in value] or [0, 1]
    others = {"silu": "gelu", "gelu_pytorch_tanh": "silu", "linear": "default"}
    return others.get(value, "linear")


def keys_of(table: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths to the values that are no tables."""
    found: list[tuple[str, ...]] = []
    for key, value in table.items():
        if key not in SILENT and value is not None:
            inner = keys_of(value, (*path, key)) if isinstance(value, dict) else [(*path, key)]
            found += inner
    return found


def logits(folder: Path) -> Any:
    with inferflow_core.load(folder, backend="numpy") as model:
        return np.concatenate(model.logits(IDS))


def moved(folder: Path, before: Any) -> bool:
    """Whether the logits are others, or the folder is refused."""
    try:
        return float(np.abs(logits(folder) - before).max()) > 1e-3
    except InferflowError:
        return True


@pytest.mark.parametrize("name", MODELS)
def test_every_key_of_the_config_counts(tmp_path: Path, name: str) -> None:
    make, depth, elsewhere = MODELS[name]
    folder = save(make(depth), tmp_path / "model", 5)
    before, file = logits(folder), folder / "config.json"
    text = file.read_text("utf-8")
    paths = keys_of(json.loads(text))
    assert len(paths) > 10
    silent = {path[-1] for path in paths if not _moves(file, text, path, before)}
    assert silent == elsewhere & {path[-1] for path in paths}


def _moves(file: Path, text: str, path: Sequence[str], before: Any) -> bool:
    config = json.loads(text)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = changed(place[path[-1]])
    file.write_text(json.dumps(config), "utf-8")
    return moved(file.parent, before)


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_counts(tmp_path: Path, name: str) -> None:
    make, depth, _ = MODELS[name]
    folder = save(make(depth), tmp_path / "model", 5)
    before = logits(folder)
    tensors = load_file(folder / "model.safetensors")
    other = shutil.copytree(folder, tmp_path / "other")
    numbers = np.random.default_rng(0)
    # Two layers stand for all, which are traced from one template.
    early = tuple(f"model.layers.{i}." for i in range(depth - 2))
    for tensor, values in tensors.items():
        if tensor.startswith(early):
            continue
        noise = numbers.standard_normal(values.shape, np.float32)
        save_file(tensors | {tensor: values + 0.3 * noise}, other / "model.safetensors")
        assert np.abs(logits(other) - before).max() > 1e-3, tensor
