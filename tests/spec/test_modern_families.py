"""The families people run most: real configs resolve, to as many parameters as published."""

from math import prod
from typing import Any

import pytest
from inferflow_loaders.config import normalize
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
