"""Words of the language and forms of files that no checkpoint of ../shared has: dynamic scaling,
experts in every n-th layer, the first Baichuan, Mixtral as GGUF."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from checkpoints import SMALL, TOLERANCE, Array, compare, each_size, prompts, reference, save, torch
from safetensors.numpy import load_file, save_file
from transformers import (
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2MLP

import inferflow_core

TRAINED, LONG = 16, 40


def test_dynamic_scaling_is_that_of_the_declared_context(tmp_path: Path, backend: str) -> None:
    """The class asks each sequence's length, so it must be the whole context."""
    scaling = {"rope_type": "dynamic", "factor": 3.0, "rope_theta": 10000.0}
    keys = SMALL | {"max_position_embeddings": TRAINED, "rope_parameters": scaling}
    model = LlamaForCausalLM(LlamaConfig(**keys, num_hidden_layers=2))
    folder = save(model, tmp_path, 0)
    (ids,) = prompts(lengths=(LONG,))
    with inferflow_core.load(folder, backend=backend, set=[f"run.context={LONG}"]) as ours:
        found = ours.logits([ids])[0]
    assert np.abs(found - reference(model, ids)[0]).max() <= TOLERANCE
    with inferflow_core.load(folder, backend=backend) as ours:
        assert np.abs(ours.logits([ids[:TRAINED]])[0] - found[:TRAINED]).max() > 0.1
    model = LlamaForCausalLM.from_pretrained(folder)
    compare(folder, model, prompts(lengths=(3, 9)), backend=backend, greedy=7)


def test_experts_in_every_second_layer(tmp_path: Path, backend: str) -> None:
    """The class has them in all: these layers are made dense by hand."""
    config = DeepseekV2Config(
        **SMALL | {"num_key_value_heads": 4, "num_hidden_layers": 5},
        q_lora_rank=None,
        kv_lora_rank=20,
        qk_nope_head_dim=12,
        qk_rope_head_dim=8,
        v_head_dim=10,
        moe_intermediate_size=24,
        n_routed_experts=6,
        num_experts_per_tok=2,
        first_k_dense_replace=1,
    )
    config.moe_layer_freq = 2
    model = DeepseekV2ForCausalLM(config)
    for index in (1, 3):
        model.model.layers[index].mlp = DeepseekV2MLP(config)
    folder = save(model, tmp_path, 0)
    with inferflow_core.load(folder) as ours:
        kinds = [type(layer.ffn).__name__ for layer in ours.plan.model.layers]
    assert kinds == ["GatedMLP", "GatedMLP", "MoE", "GatedMLP", "MoE"]
    compare(folder, model, prompts(), backend=backend)


class WithoutRotation:
    """A Llama whose positions are slopes of ALiBi, given as a mask."""

    def __init__(self, model: Any) -> None:
        self.model = model
        model.model.rotary_emb.inv_freq.zero_()
        # Six heads: the slopes of four, then every second of eight.
        self.slopes = torch.tensor([2.0**-e for e in (2, 4, 6, 8, 1, 3)])

    def __call__(self, ids: Any, **options: Any) -> Any:
        places = torch.arange(ids.shape[1])
        ahead = (places[None, :] - places[:, None]).float()
        mask = self.slopes[:, None, None] * ahead
        mask = mask.masked_fill(ahead > 0, torch.finfo(torch.float32).min)
        return self.model(ids, attention_mask=mask[None], **options)


@pytest.mark.parametrize("size", ["7b", "13b"])
def test_the_first_baichuan(tmp_path: Path, size: str, backend: str) -> None:
    keys = {**SMALL, "vocab_size": 64000, "hidden_size": 48, "num_attention_heads": 6}
    model = LlamaForCausalLM(LlamaConfig(**keys | {"num_key_value_heads": 6}, num_hidden_layers=2))
    folder = save(model, tmp_path, 0)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    for layer in range(2):
        part = f"model.layers.{layer}.self_attn"
        rows = [tensors.pop(f"{part}.{name}_proj.weight") for name in "qkv"]
        tensors[f"{part}.W_pack.weight"] = np.concatenate(rows)
    save_file(tensors, file, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    kept = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "hidden_act")
    kept += ("num_attention_heads", "rms_norm_eps", "tie_word_embeddings")
    kept += ("max_position_embeddings",) if size == "7b" else ()
    config = {key: config[key] for key in kept} | {"model_type": "baichuan"}
    config |= {} if size == "7b" else {"model_max_length": 64}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    expected = model if size == "7b" else WithoutRotation(model)
    compare(folder, expected, prompts(64000, seed=1), backend=backend, greedy=8)


GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "block_sparse_moe.gate": "ffn_gate_inp",
}
EXPERT = {"w1": "ffn_gate", "w3": "ffn_up", "w2": "ffn_down"}


def as_gguf(tensors: dict[str, Array], heads: dict[str, int], *, stacked: bool) -> dict[str, Array]:
    """Tensors of Mixtral as llama.cpp names them: pairs of rotation side by side; experts stacked,
    or (files of before 2024-04) one tensor each."""
    found: dict[str, Array] = {}
    stacks: dict[str, dict[int, Array]] = {}
    for name, values in tensors.items():
        part = name.removesuffix(".weight").removeprefix("model.layers.")
        layer, _, inner = part.partition(".")
        if inner in heads:
            pairs = values.reshape(heads[inner], 2, -1, values.shape[-1]).swapaxes(1, 2)
            values = pairs.reshape(values.shape)
        if ".experts." in inner:
            _, _, expert, matrix = inner.split(".")
            stacks.setdefault(f"blk.{layer}.{EXPERT[matrix]}", {})[int(expert)] = values
        elif part in GGUF_NAMES:
            found[f"{GGUF_NAMES[part]}.weight"] = values
        else:
            found[f"blk.{layer}.{GGUF_NAMES[inner]}.weight"] = values
    for name, each in stacks.items():
        if stacked:
            found[f"{name}_exps.weight"] = np.stack([each[i] for i in range(len(each))])
        else:
            found |= {f"{name}.{i}.weight": values for i, values in each.items()}
    return found


@each_size
@pytest.mark.parametrize("stacked", [True, False])
def test_mixtral_as_gguf(
    tmp_path: Path, seed: int, depth: int, stacked: bool, backend: str
) -> None:
    experts = {"num_local_experts": 5, "num_experts_per_tok": 2}
    model = MixtralForCausalLM(MixtralConfig(**SMALL | experts, num_hidden_layers=depth))
    folder = save(model, tmp_path, seed)
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_block_count(depth)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(0.02)
    writer.add_rope_freq_base(model.config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(SMALL["vocab_size"])
    writer.add_expert_count(5)
    writer.add_expert_used_count(2)
    heads = {"self_attn.q_proj": 4, "self_attn.k_proj": 2}
    tensors = as_gguf(load_file(folder / "model.safetensors"), heads, stacked=stacked)
    for name, values in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    compare(tmp_path / "model.gguf", model, prompts(seed=seed), backend=backend)
