"""Every predefined model, offline: its spec resolves against the numbers of its own config.json
(`configs/`: the keys that decide anything), and has as many parameters as it is said to have."""

import json
import re
import sys
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import pytest
from inferflow_loaders.config import gguf_config, normalize
from inferflow_server.cli.ls import find_predefined

from inferflow_core.block import all_params
from inferflow_core.catalog import Catalog
from inferflow_core.spec import Plan, find_family, read_spec, resolve
from inferflow_core.spec.merge import read_entry

sys.path.insert(0, str(Path(__file__).parent))
from published import PUBLISHED

CONFIGS = Path(__file__).parent / "configs"
pytestmark = pytest.mark.installed

TIED = frozenset(
    (
        *("bloomz-3b", "bloomz-3b-bin", "gemma-2b-it", "gemma-2-2b-it", "gemma-3-1b-it"),
        *("m2m100-418m", "minicpm-2b-dpo-bf16", "nllb-200-distilled-600m"),
        *("opt-350m", "opt-13b", "opt-iml-max-30b"),
    )
)
"""Models whose config is silent on the head and whose files have none of their own."""

ABSENT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(TIED, ("head.",)),
    "all-minilm-l6-v2": ("heads.mlm", "heads.nsp", "heads.labels", "heads.span"),
    "bert-base-multilingual-cased": ("heads.labels", "heads.span"),
}
"""Beginnings of the places for which a model's files have no tensor; all others are filled."""

UNPINNED = {"fusellm-7b", "opt-iml-max-30b", "yi-6b-200k"}
"""Of these no commit was to be found."""


def config_of(name: str) -> tuple[str, Mapping[str, Any]]:
    """Source and normalised config, as the loader of the model's files would give them."""
    file = CONFIGS / f"{name.removesuffix('-bin')}.json"
    raw = json.loads(file.read_text("utf-8"))
    if "general.architecture" in raw:
        return "gguf", gguf_config(raw, 32_000)
    if "dim" in raw:
        facts = {"model_type": "llama", "rope_interleaved": True, "tie_word_embeddings": True}
        return "llama2c", normalize({**raw, **facts}, "llama2c")
    return "hf", normalize(raw, "hf")


def plan_of(name: str, catalog: Catalog) -> Plan:
    source, config = config_of(name)
    return resolve(read_spec(name, catalog), config=config, source=source, catalog=catalog)


OURS = [name for name in PUBLISHED if name != "smollm2-135m-instruct"]


@pytest.mark.parametrize("name", OURS)
def test_a_model_has_as_many_parameters_as_it_is_said_to_have(
    installed: Catalog, name: str
) -> None:
    plan = plan_of(name, installed)
    absent = ABSENT.get(name, ())
    model = plan.model.decide(lambda path: not path.startswith(absent))
    params = all_params(model, model.dims(plan.config.get("max_position_embeddings", 2048)))
    count = sum(prod(param.shape) for param in params.values())
    assert count == PUBLISHED[name][0]


@pytest.mark.parametrize("name", OURS)
def test_its_family_is_the_one_that_its_config_finds(installed: Catalog, name: str) -> None:
    source, config = config_of(name)
    assert read_entry(name, installed).extends == find_family(config, source, installed)


def test_all_of_them_are_here(installed: Catalog) -> None:
    models = {one.name: one for one in find_predefined(installed)}
    assert models.keys() == PUBLISHED.keys()
    assert all(one.about for one in models.values())
    assert {file.stem for file in CONFIGS.glob("*.json")} == {
        name.removesuffix("-bin") for name in OURS
    }


def test_every_reference_means_the_same_files_for_ever(installed: Catalog) -> None:
    loose = set[str]()
    for one in find_predefined(installed):
        source = installed.get("source", one.path.partition(":")[0])()
        if not source.pinned(one.path):
            loose.add(one.name)
    assert loose == UNPINNED


def test_two_forms_of_a_model_are_one_repository(installed: Catalog) -> None:
    paths = {one.name: one.path for one in find_predefined(installed)}
    pairs = {name: paths[name.removesuffix("-bin")] for name in paths if name.endswith("-bin")}
    assert len(pairs) == 2
    for name, other in pairs.items():
        assert re.fullmatch(re.escape(other) + r":pytorch_model\.bin(\.index\.json)?", paths[name])


def test_names_are_their_repositories_names(installed: Catalog) -> None:
    for one in find_predefined(installed):
        found = re.match(r"hf:[^/]+/([^@:]+)", one.path)
        if found and not one.name.startswith("stories"):
            plain = re.sub("[._]", "-", found[1].lower())
            assert one.name.removesuffix("-bin") == plain
