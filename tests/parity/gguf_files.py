"""The GGUF that llama.cpp's converter makes of a checkpoint: names, keys and changes of numbers.

The names are those of the package `gguf`, which is llama.cpp's own. What the converter does to the
numbers is told here once: llama's q and k have rotated pairs side by side, Gemma's norms hold
1 + weight, experts are stacked, and the divisors of rotary frequencies are tensors.
"""

import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from checkpoints import Array, torch
from safetensors.numpy import load_file

Q8_0 = gguf.GGMLQuantizationType.Q8_0
PAIRED = {"llama", "granite", "smollm3"}
UNIT_OFFSET = {"gemma", "gemma2", "gemma3"}
ARCHITECTURES = {"mistral": "llama", "gemma3_text": "gemma3", "qwen3_moe": "qwen3moe"}
ARCHITECTURES |= {"qwen2_moe": "qwen2moe"}


def write(folder: Path, model: Any, *, packed: bool = False) -> Path:
    """`model.gguf` beside the safetensors that `save` left in `folder`: float32 numbers, or
    matrices as Q8_0."""
    config = model.config
    name = ARCHITECTURES.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(folder / "model.gguf", name)
    _keys(writer, config, name)
    for tensor, values in _tensors(folder, config, name).items():
        if packed and values.ndim > 1:
            writer.add_tensor(tensor, gguf.quantize(values, Q8_0), raw_dtype=Q8_0)
        else:
            writer.add_tensor(tensor, np.ascontiguousarray(values))
    for tensor, divisors in _divisors(config).items():
        writer.add_tensor(tensor, divisors.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "model.gguf"


def round_matrices(model: Any) -> None:
    """Makes the numbers of every matrix such as Q8_0 can hold, so that packing loses nothing."""
    with torch.no_grad():
        for values in model.state_dict().values():
            if values.ndim > 1:
                near = gguf.dequantize(gguf.quantize(values.numpy(), Q8_0), Q8_0)
                values.copy_(torch.from_numpy(near))


def _width(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _rope(config: Any) -> dict[str, Any]:
    """The table of the layers that see all."""
    return config.rope_parameters.get("full_attention", config.rope_parameters)


def _keys(writer: gguf.GGUFWriter, config: Any, name: str) -> None:
    rope, width = _rope(config), _width(config)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    if name == "starcoder2":
        writer.add_layer_norm_eps(config.norm_epsilon)
    else:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if name == "granite":
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    if name != "gemma":  # its converter leaves the base out
        writer.add_rope_freq_base(rope["rope_theta"])
    if name in ("llama", "phi3", "granite", "smollm3"):
        share = rope.get("partial_rotary_factor") or 1.0
        writer.add_rope_dimension_count(int(width * share))
    if name not in ("phi3", "qwen2", "qwen2moe"):
        writer.add_key_length(width)
        writer.add_value_length(width)
    if name in ("gemma2", "gemma3", "phi3", "starcoder2"):
        writer.add_sliding_window(config.sliding_window or 0)
    if name == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if name == "qwen2moe":
        writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)
    if name in ("qwen2moe", "qwen3moe"):
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] in ("yarn", "longrope"):
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope["rope_type"] == "longrope":
        trained = rope["original_max_position_embeddings"]
        stretch = config.max_position_embeddings / trained
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(stretch) / math.log(trained)))


def _tensors(folder: Path, config: Any, name: str) -> dict[str, Array]:
    kind = next(key for key, text in gguf.MODEL_ARCH_NAMES.items() if text == name)
    names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
    found: dict[str, Array] = {}
    experts: dict[str, dict[int, Array]] = {}
    for tensor, values in load_file(folder / "model.safetensors").items():
        before, inside, after = tensor.partition(".experts.")
        if inside:
            number, _, part = after.partition(".")
            experts.setdefault(f"{before}.experts.{part}", {})[int(number)] = values
            continue
        if name in PAIRED and ".q_proj." in tensor:
            values = paired(values, config.num_attention_heads)
        if name in PAIRED and ".k_proj." in tensor:
            values = paired(values, config.num_key_value_heads)
        found[tensor] = values + 1 if name in UNIT_OFFSET and "norm" in tensor else values
    for tensor, each in experts.items():
        found[tensor] = np.stack([each[number] for number in range(len(each))])
    told = {
        names.get_name(tensor, (".weight", ".bias")): values for tensor, values in found.items()
    }
    assert None not in told
    return told


def paired(values: Array, heads: int) -> Array:
    """Rotated pairs side by side instead of half a head apart."""
    shape = (heads, 2, len(values) // heads // 2, *values.shape[1:])
    return values.reshape(shape).swapaxes(1, 2).reshape(values.shape)


def _divisors(config: Any) -> dict[str, Array]:
    """By what plain frequencies are divided, of Llama 3 and longrope."""
    rope = _rope(config)
    if rope["rope_type"] == "longrope":
        parts = ("long", "short")
        return {f"rope_factors_{p}.weight": np.array(rope[f"{p}_factor"]) for p in parts}
    if rope["rope_type"] != "llama3":
        return {}
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    width = _width(config)
    plain = rope["rope_theta"] ** -(np.arange(0, width, 2) / width)
    return {"rope_freqs.weight": plain / scaled.numpy()}
