"""Families beyond the most used: real configs resolve, with as many parameters as their classes."""

from math import prod

import pytest
from inferflow_loaders.config import normalize
from more_configs import DECODERS, OTHERS
from oracles import TABLE

from inferflow_core.block import all_aliases, all_params
from inferflow_core.catalog import Catalog
from inferflow_core.errors import SpecError
from inferflow_core.spec import find_family, read_spec, resolve

pytestmark = pytest.mark.installed

CONFIGS = DECODERS | OTHERS
SEPARATE_HEADS = {"flan-t5-base", "mt5-small", "umt5-small"}
"""Their files hold a head; config.json says so, but not to the class (see the family)."""
HEADS = ("heads.pooled.", "heads.nsp.", "heads.labels.", "heads.span.")
"""Heads that files of a masked language model lack."""


@pytest.mark.parametrize("name", CONFIGS)
def test_as_many_parameters(name: str, installed: Catalog) -> None:
    family, count, raw = CONFIGS[name]
    config = normalize(raw, "hf")
    spec = read_spec(find_family(config, "hf", installed), installed)
    plan = resolve(spec, config=config, source="hf", catalog=installed)
    assert plan.name == family
    tied = raw.get("tie_word_embeddings", True) and name not in SEPARATE_HEADS

    def has(path: str) -> bool:
        return not (tied and path == "head.weight") and not path.startswith(HEADS)

    model = plan.model.decide(has)
    dims = model.dims(64)
    params = all_params(model, dims)
    own = params.keys() - all_aliases(model, dims).keys()
    assert sum(prod(params[path].shape) for path in own) == count


@pytest.mark.parametrize("name", CONFIGS)
def test_a_gguf_is_served_by_a_map_of_gguf_or_not_at_all(name: str, installed: Catalog) -> None:
    """Files of that format tell some numbers under other keys: what nobody compared is refused."""
    family, _, raw = CONFIGS[name]
    spec, refusal, names = read_spec(family, installed), "", ""
    try:
        config = normalize(raw, "hf")
        names = resolve(spec, config=config, source="gguf", catalog=installed).names
    except SpecError as error:
        refusal = str(error)
    # A map of Hugging Face's names has none of a GGUF's.
    nothing = names.startswith("hf_") or "no name map for source 'gguf'" in refusal
    assert nothing == (family not in TABLE["parity"]["gguf"])
