"""Published configs in the spelling of Transformers 5, and with a key missing: the network that the
class of `transformers` makes of them."""

import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import checkpoints  # noqa: F401  (skips where transformers is not installed)
import pytest
from inferflow_blocks.attention import Attention
from inferflow_blocks.rope import Rope
from inferflow_loaders.config import normalize
from more_configs import DECODERS, OTHERS
from real_configs import CONFIGS as NEWEST
from transformers import CONFIG_MAPPING

from inferflow_core.block import Block, walk
from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError
from inferflow_core.spec import find_family, read_spec, resolve

pytestmark = pytest.mark.installed

CONFIGS = NEWEST | DECODERS | OTHERS

EXCUSED = {
    ("mistral", "sliding_window"),
    *((family, "num_key_value_heads") for family in ("mistral", "qwen2", "qwen3", "qwen3_moe")),
    *((family, "q_lora_rank") for family in ("deepseek_v2", "deepseek_v3")),
    *(("exaone4", key) for key in ("sliding_window", "layer_types")),
}
"""Where the class takes null for one thing and a missing key for another, which a spec cannot tell
apart. Published files have these keys; a wrong number of heads would fit no tensor."""


def network(raw: dict[str, Any], family: str, catalog: Catalog) -> dict[str, Any]:
    """Path -> fields of each block; a rope is its frequencies, whatever its table is called."""
    spec = read_spec(family, catalog)
    model = resolve(spec, config=normalize(raw, "hf"), source="hf", catalog=catalog).model
    found: dict[str, Any] = {}
    for path, block, dims in walk(model, model.dims(64)):
        if isinstance(block, Rope):
            mixer = found[path.removesuffix(".position")]
            width = mixer["rope_dim"] if "rope_dim" in mixer else mixer["head_dim"]
            count = block.dims or int(width * block.fraction)
            found[path] = [block.frequencies(count, length) for length in (64, 2**20)]
        else:
            found[path] = plain(block)
            if "ratio" in found[path] and found[path]["hidden"] is None:
                found[path]["hidden"] = int(found[path]["ratio"] * dims.hidden.length)
            if isinstance(block, Attention):
                found[path]["head_dim"] = block.head_dim or dims.hidden.length // block.heads
    return found


def plain(block: Block) -> dict[str, Any]:
    """Its own fields. Whether the head is tied is the tensors' answer, where a config is silent."""
    found = {field.name: getattr(block, field.name) for field in dataclasses.fields(block)}
    return {k: v for k, v in found.items() if k != "tied" and not isinstance(v, Block | tuple)}


def respelt(raw: dict[str, Any]) -> dict[str, Any]:
    """What the class of the config writes when it saves it."""
    config = CONFIG_MAPPING[raw["model_type"]].from_dict(copy.deepcopy(raw))
    return json.loads(config.to_json_string(use_diff=False))


@pytest.mark.parametrize("name", CONFIGS)
def test_both_spellings_are_one_network(name: str, installed: Catalog) -> None:
    family, _, raw = CONFIGS[name]
    new = respelt(raw)
    inner = new.get("text_config", new)
    assert "rope_parameters" in inner or "rope_theta" not in raw
    assert not inner.keys() & {"rope_theta", "rope_scaling", "rope_local_base_freq"}
    for either in (raw, new):
        assert find_family(normalize(either, "hf"), "hf", installed) == family
    assert network(new, family, installed) == network(raw, family, installed)


def names_of(key: str) -> list[str]:
    """The key, and what it is called where each source's spelling is one."""
    return [key, *(name for name in normalize({key: 1}, "hf") if name != key)]


def without_a_key() -> Iterator[Any]:
    """Published configs with one key less, that of the text where a `text_config` is inside, and of
    a few layers."""
    for name, (family, _, raw) in CONFIGS.items():
        text = raw.get("text_config", raw)
        for key in sorted(text.keys() - {"model_type"}):
            if (family, key) not in EXCUSED:
                less = dict(text)
                if "num_hidden_layers" in text and "encoder_layers" not in text:
                    less["num_hidden_layers"] = 7
                if "layer_types" in less:
                    less["layer_types"] = less["layer_types"][:7]
                del less[key]
                less = {**raw, "text_config": less} if text is not raw else less
                yield pytest.param(family, key, less, id=f"{name}-{key}")


@pytest.mark.parametrize(("family", "key", "raw"), list(without_a_key()))
def test_a_missing_key_is_what_the_class_supplies_or_an_error(
    family: str, key: str, raw: dict[str, Any], installed: Catalog
) -> None:
    refusal = ""
    try:
        ours = network(raw, family, installed)
    except InferflowError as error:
        refusal = str(error)
    if refusal:
        of_block = "pairs are rotated" in refusal or "cannot share" in refusal
        assert any(name in refusal for name in names_of(key)) or of_block
    else:
        assert ours == network(respelt(raw), family, installed)
