"""Checkpoints of ../shared/oracles/families made anew: the same config but for one more layer and a
larger eps, other numbers, the same form on disk; and the class of `transformers` that computes what
it means.

Where the class is not the family's own, `NATIVE` gives its config and `WRITTEN` takes its tensors
to the family's file, by exact arithmetic.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from checkpoints import randomise, torch, transformers
from oracles import Oracle, suffix_of
from safetensors.torch import save_file

Config = dict[str, Any]
Tensors = dict[str, Any]

DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers")

LARGE_EPS = 0.02
"""A wrong eps would hide in the tolerance if it were small."""


def glm(config: Config) -> Config:
    kept = ("hidden_size", "num_attention_heads", "eos_token_id", "pad_token_id")
    return {key: config[key] for key in kept} | {
        "num_hidden_layers": config["num_layers"],
        "head_dim": config["kv_channels"],
        "num_key_value_heads": config["multi_query_group_num"],
        "intermediate_size": config["ffn_hidden_size"],
        "vocab_size": config["padded_vocab_size"],
        "max_position_embeddings": config["seq_length"],
        "rms_norm_eps": config["layernorm_epsilon"],
        "attention_bias": config["add_qkv_bias"],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
        },
    }


def qwen2_moe(config: Config) -> Config:
    return config | {
        "num_experts": config["n_routed_experts"],
        "shared_expert_intermediate_size": config["n_shared_experts"]
        * config["moe_intermediate_size"],
        "mlp_only_layers": list(range(config["first_k_dense_replace"])),
        "qkv_bias": False,
    }


def granite(config: Config) -> Config:
    return config | {
        "embedding_multiplier": config["scale_emb"],
        "residual_multiplier": config["scale_depth"] / config["num_hidden_layers"] ** 0.5,
        "logits_scaling": config["hidden_size"] / config["dim_model_base"],
        "attention_multiplier": (config["hidden_size"] / config["num_attention_heads"]) ** -0.5,
        "tie_word_embeddings": True,
    }


def stable_lm(config: Config) -> Config:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}
    return config | {"layer_norm_eps": config["rms_norm_eps"], "rope_parameters": rope}


NATIVE: Mapping[str, Callable[[Config], Config]] = {
    "GlmForCausalLM": glm,
    "Qwen2MoeForCausalLM": qwen2_moe,
    "GraniteForCausalLM": granite,
    "StableLmForCausalLM": stable_lm,
}
"""Class -> from the family's config to its own."""


def renamed(tensors: Tensors, *rules: tuple[str, str]) -> Tensors:
    """With each rule's pattern replaced in every name."""
    for pattern, replacement in rules:
        tensors = {re.sub(pattern, replacement, name): t for name, t in tensors.items()}
    return tensors


def packed(tensors: Tensors, parts: str, whole: str) -> Tensors:
    """The tensors whose names match `parts` (q, k, v in that order) as rows of one, `whole`."""
    done: Tensors = {}
    for name, tensor in tensors.items():
        found = re.sub(parts, whole, name)
        done[found] = torch.cat([done[found], tensor]) if found in done else tensor
    return done


def experts(tensors: Tensors, place: str, gate: str, up: str, down: str) -> Tensors:
    """Stacked experts, gate and up in one, as a tensor each."""
    done: Tensors = {}
    for name, tensor in tensors.items():
        prefix, found, kind = name.partition(".mlp.experts.")
        if not found:
            done[name] = tensor
            continue
        parts = [tensor] if kind == "down_proj" else tensor.chunk(2, dim=1)
        names = [down] if kind == "down_proj" else [gate, up]
        for index in range(len(tensor)):
            for part, said in zip(parts, names, strict=True):
                done[f"{prefix}.{place}.experts.{index}.{said}.weight"] = part[index]
    return done


def mixtral(tensors: Tensors) -> Tensors:
    tensors = renamed(tensors, (r"\.mlp\.gate\.", ".block_sparse_moe.gate."))
    return experts(tensors, "block_sparse_moe", "w1", "w3", "w2")


def deepseek_moe(tensors: Tensors) -> Tensors:
    tensors = {name: t for name, t in tensors.items() if "shared_expert_gate" not in name}
    tensors = renamed(tensors, (r"mlp\.shared_expert\.", "mlp.shared_experts."))
    return experts(tensors, "mlp", "gate_proj", "up_proj", "down_proj")


def baichuan(tensors: Tensors) -> Tensors:
    return packed(tensors, r"[qkv]_proj", "W_pack")


def chatglm2(tensors: Tensors) -> Tensors:
    tensors = packed(tensors, r"self_attn\.[qkv]_proj", "self_attention.query_key_value")
    return renamed(
        tensors,
        (r"^lm_head", "transformer.output_layer"),
        (r"^model\.embed_tokens", "transformer.embedding.word_embeddings"),
        (r"^model\.norm", "transformer.encoder.final_layernorm"),
        (r"^model\.", "transformer.encoder."),
        (r"self_attn\.o_proj", "self_attention.dense"),
        (r"mlp\.gate_up_proj", "mlp.dense_h_to_4h"),
        (r"mlp\.down_proj", "mlp.dense_4h_to_h"),
    )


def bloom(tensors: Tensors) -> Tensors:
    del tensors["lm_head.weight"]
    return renamed(tensors, (r"^transformer\.", ""))


def opt(tensors: Tensors) -> Tensors:
    del tensors["lm_head.weight"]
    return renamed(tensors, (r"^model\.", ""))


def bert(tensors: Tensors) -> Tensors:
    tensors = {n: t for n, t in tensors.items() if not n.startswith("cls.predictions.decoder.")}
    return renamed(
        tensors, (r"LayerNorm\.weight", "LayerNorm.gamma"), (r"LayerNorm\.bias", "LayerNorm.beta")
    )


WRITTEN: Mapping[str, Callable[[Tensors], Tensors]] = {
    "baichuan": baichuan,
    "bert": bert,
    "bloom": bloom,
    "chatglm2": chatglm2,
    "deepseek_moe": deepseek_moe,
    "mixtral": mixtral,
    "opt": opt,
}
"""Family -> from the class's tensors to those of its files."""


def become(model: Any, family: str) -> None:
    """Makes of the file's numbers what the class needs to compute as the family does."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if family == "deepseek_moe" and "shared_expert_gate" in name:
                tensor.zero_()  # sigmoid(0) = 1/2 of the shared expert
            if family == "deepseek_moe" and "shared_expert.down_proj" in name:
                tensor.mul_(2)
            if family == "baichuan" and name == "lm_head.weight":
                tensor.copy_(torch.nn.functional.normalize(tensor))


class Unturned(torch.nn.Module):
    """Angles of zero."""

    def forward(self, x: Any, position_ids: Any) -> tuple[Any, Any]:
        flat = torch.zeros(*position_ids.shape, 1)
        return flat + 1, flat


class Biased:
    """A Llama whose positions are biases of the scores instead of rotations."""

    def __init__(self, model: Any) -> None:
        self._model, self.config = model, model.config
        model.model.rotary_emb = Unturned()

    def __call__(self, ids: Any, **options: Any) -> Any:
        place = torch.arange(ids.shape[1])
        slopes = torch.tensor(slopes_of(self.config.num_attention_heads))
        bias = slopes[:, None, None] * (place[None, :] - place[:, None])
        unseen = torch.finfo(torch.float32).min
        bias = bias.masked_fill(place[None, :] > place[:, None], unseen)
        return self._model(ids, attention_mask=bias[None], **options)


def slopes_of(heads: int) -> list[float]:
    """Press et al. 2022, as their code: for other than powers of two, every other slope of twice
    as many heads follows."""
    power = 1 << (heads.bit_length() - 1)
    first = [2.0 ** (-8.0 * (i + 1) / power) for i in range(power)]
    return first + [2.0 ** (-4.0 * (2 * i + 1) / power) for i in range(heads - power)]


def make(oracle: Oracle, source: Path, folder: Path, seed: int) -> Any:
    """Writes the checkpoint to `folder` and returns its model, float32. `source`: the folder of
    the one that it is made after."""
    raw: Config = json.loads((source / "config.json").read_text("utf-8"))
    raw |= {key: raw[key] + 1 for key in DEPTHS if key in raw}
    raw |= {key: LARGE_EPS for key in raw if re.search(r"_eps(ilon)?$", key)}
    kind: Any = getattr(transformers, oracle.reference)
    native = NATIVE.get(oracle.reference, dict)(raw)
    if oracle.family == "internlm":
        native["attention_bias"] = native["bias"]
    native.pop("model_type", None)
    model: Any = kind(kind.config_class(**native))
    randomise(model, seed)
    dtype = getattr(torch, raw.get("torch_dtype", "float32"))
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.copy_(tensor.to(dtype))
    tensors: Tensors = WRITTEN.get(oracle.family, dict)(dict(model.state_dict()))
    write(oracle.forms[0], {name: t.to(dtype) for name, t in tensors.items()}, folder)
    (folder / "config.json").write_text(json.dumps(raw), "utf-8")
    become(model, oracle.family)
    alibi = oracle.family == "baichuan" and "max_position_embeddings" not in raw
    return Biased(model) if alibi else model


def write(form: str, tensors: Tensors, folder: Path) -> None:
    """The tensors in a form of `families.toml`: one file, or two with an index."""
    suffix, names = suffix_of(form), list(tensors)
    shards = [names[0::2], names[1::2]] if "sharded" in form else [names]
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    files: dict[str, str] = {}
    for number, some in enumerate(shards, 1):
        part = f"-{number:05}-of-{len(shards):05}" if "sharded" in form else ""
        path = folder / f"{stem}{part}.{suffix}"
        chosen = {name: tensors[name].clone().contiguous() for name in some}
        if suffix == "safetensors":
            save_file(chosen, path)
        else:
            torch.save(chosen, path, _use_new_zipfile_serialization="legacy" not in form)
        files |= dict.fromkeys(some, path.name)
    if "sharded" in form:
        index = json.dumps({"metadata": {}, "weight_map": files})
        (folder / f"{stem}.{suffix}.index.json").write_text(index, "utf-8")
