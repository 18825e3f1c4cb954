"""Config keys: one vocabulary for all sources (SPECS.md part F)."""

import tomllib
from importlib.resources import files

import pytest
from inferflow_loaders.config import PAIRED_ROPE, gguf_config, normalize

TABLE = tomllib.loads(files("inferflow_loaders").joinpath("config_keys.toml").read_text("utf-8"))
SPELLINGS = [
    (key, source, name)
    for key, row in TABLE.items()
    for source, names in row.items()
    for name in ([names] if isinstance(names, str) else names)
]


def test_the_table_is_the_one_of_the_spec_language(shared):
    assert tomllib.loads((shared / "specs/config_keys.toml").read_text("utf-8")) == TABLE


@pytest.mark.parametrize(("key", "source", "name"), SPELLINGS)
def test_every_spelling_gives_its_key_and_stays_readable(key, source, name):
    raw = {"general.architecture": "llama", f"llama.{name}": 7} if source == "gguf" else {name: 7}
    config = normalize(raw, source)
    assert config[key] == 7
    assert {k: config[k] for k in raw} == raw


def test_the_first_spelling_counts_and_the_normalised_one_before_all():
    assert normalize({"dim": 1, "d_model": 2, "n_embd": 3}, "hf")["hidden_size"] == 3
    both = normalize({"n_embd": 3, "hidden_size": 4}, "hf")
    assert (both["hidden_size"], both["n_embd"]) == (4, 3)


def test_spellings_of_another_source_mean_nothing():
    assert "hidden_size" not in normalize({"embedding_length": 3}, "hf")
    assert "hidden_size" not in normalize({"n_embd": 3}, "llama2c")
    other = {"general.architecture": "llama", "bert.embedding_length": 3}
    assert "hidden_size" not in normalize(other, "gguf")


def test_null_is_absent_at_every_depth():
    raw = {"n_inner": None, "d_ff": 5, "hidden_act": None, "activation": "relu"}
    raw |= {"rope_scaling": {"factor": 2.0, "type": None}, "hidden_size": None}
    config = normalize(raw, "hf")
    assert config == {
        **{"d_ff": 5, "intermediate_size": 5, "activation": "relu", "hidden_act": "relu"},
        "rope_scaling": {"factor": 2.0},
    }


def test_false_and_zero_are_not_absent():
    config = normalize({"hidden_size": 0, "dim": 3, "rope_interleave": False}, "hf")
    assert (config["hidden_size"], config["rope_interleaved"]) == (0, False)


def test_text_config_is_laid_over_the_top_level():
    text = {"hidden_size": 8, "n_layer": 2, "vocab_size": None}
    config = normalize({"hidden_size": 4, "vocab_size": 9, "text_config": text}, "hf")
    assert (config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]) == (8, 2, 9)


def test_rope_parameters_become_rope_scaling():
    table = {"rope_type": "llama3", "factor": 8.0, "rope_theta": 5e5, "partial_rotary_factor": 0.5}
    config = normalize({"rope_parameters": table}, "hf")
    assert config["rope_scaling"] == {"rope_type": "llama3", "factor": 8.0}
    assert (config["rope_theta"], config["partial_rotary_factor"]) == (5e5, 0.5)
    assert config["rope_parameters"] == table


def test_older_keys_win_over_rope_parameters():
    older = {"rope_theta": 7.0, "rope_scaling": {"type": "linear", "factor": 2.0}}
    config = normalize({**older, "rope_parameters": {"rope_type": "x", "rope_theta": 1.0}}, "hf")
    assert {key: config[key] for key in older} == older


def test_rope_parameters_for_each_kind_of_layer_stay_as_they_are():
    raw = {"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}
    assert normalize(raw, "hf") == raw


def gguf(architecture: str, **keys):
    raw = {"general.architecture": architecture}
    return raw | {f"{architecture}.{key.replace('__', '.')}": value for key, value in keys.items()}


def test_gguf_says_its_family_and_how_rotary_pairs_lie():
    config = gguf_config(gguf("llama", embedding_length=8), tokens=11)
    assert (config["model_type"], config["hidden_size"], config["vocab_size"]) == ("llama", 8, 11)
    assert config["rope_interleaved"] is True
    assert "rope_interleaved" not in gguf_config(gguf("qwen2"), 0)
    assert {"llama", "deepseek2", "command-r"} <= PAIRED_ROPE
    assert not {"qwen2", "gemma", "phi2", "falcon", "bert"} & PAIRED_ROPE


def test_gguf_vocab_size_is_the_key_else_the_number_of_tokens():
    assert gguf_config(gguf("llama", vocab_size=12), 11)["vocab_size"] == 12
    assert "vocab_size" not in gguf_config(gguf("llama"), 0)


def test_gguf_special_ids():
    raw = {f"tokenizer.ggml.{name}_token_id": i for i, name in enumerate(["bos", "eos", "padding"])}
    config = gguf_config(raw, 0)
    assert [config[f"{name}_token_id"] for name in ("bos", "eos", "pad")] == [0, 1, 2]


def test_gguf_rope_scaling():
    keys = {"rope__scaling__type": "yarn", "rope__scaling__factor": 4.0}
    keys |= {"rope__scaling__original_context_length": 32}
    assert gguf_config(gguf("llama", **keys), 0)["rope_scaling"] == {
        **{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
    }
    assert "rope_scaling" not in gguf_config(gguf("llama", rope__scaling__type="none"), 0)
    assert "rope_scaling" not in gguf_config(gguf("llama"), 0)


def test_gguf_frequency_divisors_are_a_longrope_table():
    factors = {"short_factor": [1.0, 8.0], "long_factor": [2.0, 9.0]}
    assert gguf_config(gguf("llama"), 0, factors)["rope_scaling"] == {
        **{"rope_type": "longrope", "attention_factor": 1.0, **factors},
    }
    keys = {"rope__scaling__original_context_length": 32, "rope__scaling__attn_factor": 1.5}
    assert gguf_config(gguf("phi3", **keys), 0, factors)["rope_scaling"] == {
        **{"rope_type": "longrope", "attention_factor": 1.5, **factors},
        "original_max_position_embeddings": 32,
    }


def test_llama2c_numbers():
    config = normalize({"dim": 64, "n_kv_heads": 4, "seq_len": 512}, "llama2c")
    assert (config["hidden_size"], config["num_key_value_heads"]) == (64, 4)
    assert config["max_position_embeddings"] == 512


@pytest.mark.parametrize("hostile", [{"text_config": 3}, {"rope_parameters": [1]}, {"": {}}])
def test_values_of_another_type_are_left_alone(hostile):
    assert normalize(hostile, "hf") == hostile
    assert normalize({"general.architecture": ["llama"]}, "gguf")
    assert gguf_config({"general.architecture": 7}, 0)
