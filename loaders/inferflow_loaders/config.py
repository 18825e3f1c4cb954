"""One vocabulary of config keys for all sources (SPECS.md part F), from `config_keys.toml`."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, cast


@cache
def _table() -> Mapping[str, Mapping[str, str | list[str]]]:
    text = files("inferflow_loaders").joinpath("config_keys.toml").read_text("utf-8")
    return MappingProxyType(tomllib.loads(text))


def normalize(raw: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The keys of a source under their own names, and each normalised key beside them.

    `source` is `hf`, `gguf` (raw keys as in the file, `<architecture>.key`) or `llama2c`. The
    normalised spelling wins over the others, nulls are left out at every depth, a `text_config`
    is laid over the top level.
    """
    config = _without_nulls(raw)
    if source == "hf":
        config |= cast("dict[str, Any]", _mapping(config.get("text_config")))
        _lift_rope_parameters(config)
        _lift_labels(config)
    prefix = f"{config.get('general.architecture', '')}." if source == "gguf" else ""
    for key, spellings in _table().items():
        names = spellings.get(source, [])
        for name in [names] if isinstance(names, str) else names:
            if key not in config and prefix + name in config:
                config[key] = config[prefix + name]
    return config


def _without_nulls(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _lift_rope_parameters(config: dict[str, Any]) -> None:
    """`rope_parameters` (Transformers 5) as the older `rope_scaling` and its neighbours.

    A table for each kind of layer has no older form and stays as it is.
    """
    table = dict(_mapping(config.get("rope_parameters")))
    if not table or any(isinstance(value, Mapping) for value in table.values()):
        return
    for key in ("rope_theta", "partial_rotary_factor"):
        if key in table:
            config.setdefault(key, table.pop(key))
    config.setdefault("rope_scaling", table)


def _lift_labels(config: dict[str, Any]) -> None:
    """`num_labels`, which config.json says by the names of the labels alone, and `architecture`,
    the class that the file was saved from."""
    labels = _mapping(config.get("id2label"))
    if labels:
        config.setdefault("num_labels", len(labels))
    classes = config.get("architectures")
    if isinstance(classes, list) and classes and isinstance(classes[0], str):
        config.setdefault("architecture", classes[0])


PAIRED_ROPE = frozenset(
    (
        *("llama", "llama4", "llada", "mllama", "mistral3", "deci", "solar", "arcee", "apertus"),
        *("baichuan", "xverse", "orion", "plamo", "starcoder", "internlm2", "minicpm", "smollm3"),
        *("command-r", "cohere2", "olmo", "arctic", "deepseek", "deepseek2", "plm", "bailingmoe"),
        *("chatglm", "glm4", "granite", "granitemoe", "granitehybrid", "chameleon", "neo-bert"),
        *("ernie4_5", "ernie4_5-moe"),
    )
)
"""Architectures of GGUF whose rotary pairs are neighbours (llama.cpp's rope type NORM)."""

SPECIAL_IDS = {
    "bos_token_id": "tokenizer.ggml.bos_token_id",
    "eos_token_id": "tokenizer.ggml.eos_token_id",
    "pad_token_id": "tokenizer.ggml.padding_token_id",
}

ROPE_SCALING = {
    "factor": "rope.scaling.factor",
    "original_max_position_embeddings": "rope.scaling.original_context_length",
    "beta_fast": "rope.scaling.yarn_beta_fast",
    "beta_slow": "rope.scaling.yarn_beta_slow",
}
"""Keys of a Hugging Face scaling table, and GGUF's spelling after the architecture."""


NO_FACTORS: Mapping[str, Sequence[float]] = MappingProxyType({})


def gguf_config(
    metadata: Mapping[str, Any], tokens: int, factors: Mapping[str, Sequence[float]] = NO_FACTORS
) -> dict[str, Any]:
    """Normalised config of a GGUF: `metadata` without the tokenizer's arrays, number of `tokens`.

    `factors` are the divisors of the rotary frequencies that some files carry as tensors, Llama
    3.1's among them, by their keys in a `longrope` table, which says exactly that.
    """
    config = normalize(metadata, "gguf")
    architecture = config.get("general.architecture")
    if isinstance(architecture, str):
        config.setdefault("model_type", architecture)
        if architecture in PAIRED_ROPE:
            config.setdefault("rope_interleaved", True)
    if tokens:
        config.setdefault("vocab_size", tokens)
    for key, name in SPECIAL_IDS.items():
        if name in config:
            config.setdefault(key, config[name])
    kind = config.get(f"{architecture}.rope.scaling.type", "longrope" if factors else "none")
    if kind != "none":
        found = {key: config.get(f"{architecture}.{name}") for key, name in ROPE_SCALING.items()}
        config["rope_scaling"] = {"rope_type": kind, **_without_nulls(found), **factors}
    if factors:
        sharper = config.get(f"{architecture}.rope.scaling.attn_factor", 1.0)
        config["rope_scaling"]["attention_factor"] = sharper
    return config


def origins(config: Mapping[str, Any], source: str) -> dict[str, tuple[str, ...]]:
    """Each key of the file itself -> the keys of `config` that hold its value, its own among them.

    Empty for a key that opening the file has used up. This is what tells keys that nobody reads
    from those that are read under another name.
    """
    found: dict[str, tuple[str, ...]] = {key: (key,) for key in config}
    prefix = f"{config.get('general.architecture', '')}." if source == "gguf" else ""
    for key, spellings in _table().items():
        names = spellings.get(source, [])
        for name in [names] if isinstance(names, str) else names:
            if prefix + name != key and config.get(prefix + name) == config.get(key, ...):
                found[prefix + name] += (key,)
                found.pop(key, None)
    if source == "hf":
        found.pop("text_config", None)
        for key, lifted in (("id2label", "num_labels"), ("architectures", "architecture")):
            if key in found:
                found.pop(lifted, None)
                found[key] += (lifted,)
        if "rope_parameters" in found:
            found.pop("rope_scaling", None)
            found["rope_parameters"] += ("rope_scaling", "rope_theta", "partial_rotary_factor")
    if source == "gguf":
        found = {key: names for key, names in found.items() if "." in key}
        for key in [key for key in found if key.startswith(f"{prefix}rope.scaling.")]:
            found[key] += ("rope_scaling",)
        for key, name in SPECIAL_IDS.items():
            if name in found:
                found[name] += (key,)
        used = ("general.architecture", "general.alignment", "split.count")
        found |= {key: () for key in used if key in found}
    if source == "llama2c":
        found.pop("model_type", None)
        found.pop("rope_interleaved", None)
    return found
