"""gpt_oss and its name map hf_gpt_oss: sinks, alternate windows, fused experts."""

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import SMALL, compare, each_size, prompts, save, torch
from safetensors.torch import load_file, save_file
from transformers import GptOssConfig, GptOssForCausalLM

import inferflow_core
from inferflow_core.errors import BindingError

SMALLER: dict[str, Any] = {
    **SMALL,
    "head_dim": 20,
    "num_local_experts": 6,
    "num_experts_per_tok": 2,
    "sliding_window": 7,
    "swiglu_limit": 1.1,
    "rope_parameters": {
        "rope_type": "yarn",
        "rope_theta": 150000.0,
        "factor": 4.0,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "truncate": False,
        "original_max_position_embeddings": 16,
    },
}


@each_size
def test_gpt_oss_agrees(tmp_path: Path, seed: int, depth: int, backend: str) -> None:
    model = GptOssForCausalLM(GptOssConfig(**SMALLER, num_hidden_layers=depth))
    compare(save(model, tmp_path, seed), model, prompts(seed=seed), backend=backend)


def test_the_published_form_of_four_bits_is_refused(tmp_path: Path) -> None:
    model = GptOssForCausalLM(GptOssConfig(**SMALLER, num_hidden_layers=2))
    folder = save(model, tmp_path, 0)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    for layer in range(2):
        for part in ("gate_up_proj", "down_proj"):
            name = f"model.layers.{layer}.mlp.experts.{part}"
            experts, columns, rows = tensors.pop(name).shape
            blocks = (experts, rows, columns // 32, 16)
            tensors[f"{name}_blocks"] = torch.zeros(blocks, dtype=torch.uint8)
            tensors[f"{name}_scales"] = torch.zeros(blocks[:-1], dtype=torch.uint8)
    save_file(tensors, file, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": []}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(BindingError, match=r"quantized by 'mxfp4'") as caught:
        inferflow_core.load(folder)
    assert "model.layers.0.mlp.experts.down_proj_blocks" in str(caught.value)
    assert "in bf16" in str(caught.value)
