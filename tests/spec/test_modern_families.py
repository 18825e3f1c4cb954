"""The families people run most: real configs resolve, to as many parameters as published."""

from math import prod
from typing import Any

import pytest
from inferflow_loaders.config import gguf_config, normalize
from real_configs import CONFIGS

from inferflow_core.block import all_aliases, all_params
from inferflow_core.catalog import Catalog
from inferflow_core.spec import Plan, find_family, read_spec, resolve

pytestmark = pytest.mark.installed


def planned(raw: dict[str, Any], catalog: Catalog) -> Plan:
    config = normalize(raw, "hf")
    spec = read_spec(find_family(config, "hf", catalog), catalog)
    return resolve(spec, config=config, source="hf", catalog=catalog)


@pytest.mark.parametrize("name", CONFIGS)
def test_as_many_parameters_as_published(name: str, installed: Catalog) -> None:
    family, count, raw = CONFIGS[name]
    plan = planned(raw, installed)
    assert plan.name == family
    # No tensor decides here: a head that the config does not speak of is tied.
    tied = raw.get("tie_word_embeddings", True)
    model = plan.model.decide(lambda path: not (tied and path == "head.weight"))
    dims = model.dims(64)
    params = all_params(model, dims)
    own = params.keys() - all_aliases(model, dims).keys()
    assert sum(prod(params[path].shape) for path in own) == count


GEMMA2_27B = {
    "general.architecture": "gemma2",
    "gemma2.context_length": 8192,
    "gemma2.embedding_length": 4608,
    "gemma2.block_count": 46,
    "gemma2.feed_forward_length": 36864,
    "gemma2.attention.head_count": 32,
    "gemma2.attention.head_count_kv": 16,
    "gemma2.attention.layer_norm_rms_epsilon": 1e-06,
    "gemma2.attention.key_length": 128,
    "gemma2.attention.value_length": 128,
    "gemma2.attention.sliding_window": 4096,
    "gemma2.attn_logit_softcapping": 50.0,
    "gemma2.final_logit_softcapping": 30.0,
}
GEMMA3_27B = {
    "general.architecture": "gemma3",
    "gemma3.context_length": 131072,
    "gemma3.embedding_length": 5376,
    "gemma3.block_count": 62,
    "gemma3.feed_forward_length": 21504,
    "gemma3.attention.head_count": 32,
    "gemma3.attention.head_count_kv": 16,
    "gemma3.attention.layer_norm_rms_epsilon": 1e-06,
    "gemma3.attention.key_length": 128,
    "gemma3.attention.value_length": 128,
    "gemma3.attention.sliding_window": 1024,
    "gemma3.rope.freq_base": 1000000.0,
    "gemma3.rope.scaling.type": "linear",
    "gemma3.rope.scaling.factor": 8.0,
}


def of_gguf(keys: dict[str, Any], catalog: Catalog) -> Any:
    config = gguf_config(keys, 256000)
    spec = read_spec(find_family(config, "gguf", catalog), catalog)
    return resolve(spec, config=config, source="gguf", catalog=catalog).model


def test_the_scale_that_gguf_does_not_say(installed: Catalog) -> None:
    """query_pre_attn_scalar of config.json: 144 and 168 of the two 27B, head_dim of all others."""
    big = of_gguf(GEMMA2_27B, installed)
    assert [layer.mixer.window for layer in big.layers[:4]] == [4096, None, 4096, None]
    assert big.layers[0].mixer.scale == pytest.approx(144**-0.5)
    small = of_gguf(GEMMA2_27B | {"gemma2.block_count": 42}, installed)
    assert small.layers[0].mixer.scale == pytest.approx(128**-0.5)
    big = of_gguf(GEMMA3_27B, installed)
    assert big.layers[0].mixer.scale == pytest.approx(168**-0.5)
    ropes = [layer.mixer.position for layer in big.layers[4:6]]
    assert [rope.theta for rope in ropes] == [10000.0, 1000000.0]
    assert [rope.scaling and rope.scaling["factor"] for rope in ropes] == [None, 8.0]
    small = of_gguf(GEMMA3_27B | {"gemma3.block_count": 48}, installed)
    assert small.layers[0].mixer.scale == pytest.approx(128**-0.5)


def test_what_newer_gguf_says_of_the_windows(installed: Catalog) -> None:
    newer = {"gemma3.attention.sliding_window_pattern": 3, "gemma3.rope.freq_base_swa": 5000.0}
    layers = of_gguf(GEMMA3_27B | newer, installed).layers
    assert [layer.mixer.window for layer in layers[:4]] == [1024, 1024, None, 1024]
    assert layers[0].mixer.position.theta == 5000.0
