"""The language on every family: its reference config through its spec to blocks."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inferflow_core.block import Block
from inferflow_core.catalog import Catalog
from inferflow_core.optable import OpTable
from inferflow_core.spec import Plan, check, find_family, parse_spec, read_spec, resolve, show
from inferflow_core.testing.blocks import entry_name
from inferflow_core.tracer import trace

FAMILIES = {
    "aquila_chat2_34b": "llama",
    "baichuan2_13b_chat": "baichuan",
    "baichuan2_7b_chat": "baichuan",
    "bert_base_multilingual_cased": "bert",
    "bloomz_3b": "bloom",
    "chatglm2_6b": "chatglm2",
    "deepseek_moe_16b_base": "deepseek_moe",
    "falcon_40b_instruct": "falcon",
    "falcon_7b_instruct": "falcon",
    "fusellm_7b": "llama",
    "gemma_2b_it": "gemma",
    "internlm_7b_bias": "internlm",
    "internlm_chat_20b": "internlm",
    "llama2_13b_chat": "llama",
    "llama2_7b": "llama",
    "m2m100_418m": "m2m100",
    "minicpm_2b_dpo": "minicpm",
    "mistral_7b_instruct_v02": "mistral",
    "mistral_7b_v01_swa": "mistral",
    "mixtral_8x7b": "mixtral",
    "open_llama_3b": "llama",
    "opt_13b": "opt",
    "opt_350m": "opt",
    "opt_iml_max_30b": "opt",
    "orion_14b_chat": "orion",
    "phi_2": "phi",
    "qwen15_05b_chat": "qwen2",
    "qwen15_7b_chat": "qwen2",
    "xverse_13b_chat": "llama",
    "yi_34b_chat": "llama",
    "yi_6b_200k": "llama",
}
LLAMA_LINE = [
    "fusellm_7b",
    "llama2_13b_chat",
    "llama2_7b",
    "mistral_7b_instruct_v02",
    "mistral_7b_v01_swa",
    "open_llama_3b",
    "yi_34b_chat",
    "yi_6b_200k",
]

FACTS: dict[str, dict[str, Any]] = {
    "baichuan2_13b_chat": {"names": "hf_baichuan2", "layer.mixer.position": "alibi"},
    "baichuan2_7b_chat": {"names": "hf_baichuan2", "layer.mixer.position": "rope"},
    "bert_base_multilingual_cased": {
        "model": "encoder_only",
        "layer": "post_norm",
        "layer.mixer.causal": False,
        "layer.mixer_norm.eps": 1e-12,
        "model.heads.nsp.classes": 2,
    },
    "bloomz_3b": {"model.embed.norm": "layer_norm", "layer.ffn.hidden": None},
    "chatglm2_6b": {
        "layer.mixer.position.fraction": 0.5,
        "layer.mixer.position.theta": 10000.0,
        "layer.mixer.qkv_bias": True,
        "layer.mixer.out_bias": False,
        "layer.mixer.kv_heads": 2,
        "tokenizer.prefix": ("[gMASK]", "sop"),
    },
    "deepseek_moe_16b_base": {"layer.ffn": "gated_mlp", "layer1.ffn": "moe"},
    "falcon_40b_instruct": {"layer": "parallel", "layer.ffn_norm": "layer_norm"},
    "falcon_7b_instruct": {
        "names": "hf_falcon",
        "layer": "parallel",
        "layer.ffn_norm": None,
        "layer.mixer.kv_heads": 1,
        "layer.ffn.act": "gelu",
    },
    "gemma_2b_it": {
        "model.embed.scale": 8.0,
        "layer.ffn.act": "gelu_tanh",
        "layer.ffn_norm.unit_offset": True,
    },
    "internlm_7b_bias": {"layer.mixer.out_bias": True},
    "internlm_chat_20b": {"layer.mixer.out_bias": False},
    "m2m100_418m": {
        "model": "encoder_decoder",
        "model.encoder.embed.scale": 8.0,
        "model.decoder.embed.position.style": "fairseq",
        "generation.start": 2,
    },
    "mistral_7b_instruct_v02": {"layer.mixer.window": None, "layer.mixer.position.theta": 1e6},
    "mistral_7b_v01_swa": {"layer.mixer.window": 12, "layer.mixer.kv_heads": 2},
    "mixtral_8x7b": {"layer.ffn": "moe", "layer.ffn.router.renormalize": True},
    "opt_350m": {"layer": "post_norm", "model.norm": None, "model.head.width": 32},
    "opt_13b": {"layer": "pre_norm", "model.norm": "layer_norm", "tokenizer.bos": True},
    "orion_14b_chat": {"layer.mixer_norm": "layer_norm", "model.norm": "layer_norm"},
    "phi_2": {"layer": "parallel", "layer.mixer.position.fraction": 0.4, "model.head.bias": True},
    "qwen15_7b_chat": {"layer.mixer.qkv_bias": True, "layer.mixer.window": None},
    "xverse_13b_chat": {"layer.mixer.kv_heads": 4, "layer.mixer.position.theta": 10000.0},
    "yi_6b_200k": {"layer.mixer.position.theta": 1e7, "layer.mixer.kv_heads": 1},
}


@pytest.fixture(scope="session")
def config_of(shared: Path) -> Callable[[str], dict[str, Any]]:
    """The config of an oracle family, normalised as table F says."""
    keys = tomllib.loads((shared / "specs/config_keys.toml").read_text("utf-8"))

    def read(name: str) -> dict[str, Any]:
        raw = json.loads((shared / f"oracles/families/{name}/model/config.json").read_text("utf-8"))
        config = {key: value for key, value in raw.items() if value is not None}
        for key, spellings in keys.items():
            found = (config[s] for s in spellings.get("hf", ()) if s in config)
            if (value := next(found, None)) is not None:
                config.setdefault(key, value)
        return config

    return read


def _fact(plan: Plan, path: str, catalog: Catalog) -> Any:
    if path == "names":
        return plan.names
    table, _, key = path.partition(".")
    if table in ("tokenizer", "generation"):
        return getattr(plan, table)[key]
    value: Any = plan.model
    if table != "model":
        value = value.layers[int(table[5:] or 0)]
    for part in key.split(".") if key else ():
        value = value[part] if part == "nsp" else getattr(value, part)
    return entry_name(value, catalog) if isinstance(value, Block) else value


@pytest.mark.installed
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_resolves(
    name: str, installed: Catalog, config_of: Callable[[str], dict[str, Any]]
) -> None:
    config = config_of(name)
    family = find_family(config, "hf", installed)
    assert family == FAMILIES[name]
    plan = resolve(read_spec(family, installed), config=config, source="hf", catalog=installed)
    facts = FACTS.get(name, {})
    assert {path: _fact(plan, path, installed) for path in facts} == facts
    again = resolve(parse_spec(show(plan), installed), config={}, source="hf", catalog=installed)
    assert again.model == plan.model
    model = plan.model.decide(lambda path: True)
    graph = trace(model, model.dims(64), OpTable(installed))
    assert graph.entries.keys() == model.entries().keys()


@pytest.mark.installed
@pytest.mark.parametrize("family", sorted(set(FAMILIES.values())))
def test_every_family_passes_the_check_without_a_checkpoint(
    family: str, installed: Catalog
) -> None:
    check(read_spec(family, installed), installed)


@pytest.mark.installed
@pytest.mark.parametrize("name", LLAMA_LINE)
def test_llama_line_takes_its_numbers_from_the_config(
    name: str, installed: Catalog, config_of: Callable[[str], dict[str, Any]]
) -> None:
    config = config_of(name)
    family = find_family(config, "hf", installed)
    assert family == FAMILIES[name]
    plan = resolve(read_spec(family, installed), config=config, source="hf", catalog=installed)
    assert plan.names == ("hf_mistral" if family == "mistral" else "hf_llama")
    model: Any = plan.model
    assert len(model.layers) == config["num_hidden_layers"]
    assert model.hidden == config["hidden_size"]
    mixer = model.layers[0].mixer
    assert mixer.position.theta == config.get("rope_theta", 10000.0)
    assert mixer.window == config.get("sliding_window")
    assert mixer.position.context == config["max_position_embeddings"]
    assert model.norm.eps == config["norm_eps"]
