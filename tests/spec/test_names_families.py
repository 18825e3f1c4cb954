"""The name maps of the reference specs on the tensors of the reference checkpoints."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferflow_core.spec.names_reader import read_names

FAMILIES = {
    "bert_base_multilingual_cased": "hf_bert",
    "bloomz_3b": "hf_bloom",
    "deepseek_moe_16b_base": "hf_deepseek_moe",
    "gemma_2b_it": "hf_llama",
    "llama2_7b": "hf_llama",
    "llama2_13b_chat": "hf_llama",
    "mistral_7b_instruct_v02": "hf_llama",
    "mixtral_8x7b": "hf_mixtral",
    "phi_2": "hf_phi",
    "qwen15_05b_chat": "hf_llama",
    "yi_34b_chat": "hf_llama",
}


def tensor_names(folder: Path) -> Iterator[str]:
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as opened:
            (size,) = struct.unpack("<Q", opened.read(8))
            yield from json.loads(opened.read(size)).keys() - {"__metadata__"}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tensor_of_a_family_has_a_place_of_its_own(shared, family):
    folder = shared / "specs" / "names"
    names = read_names(FAMILIES[family], lambda name: folder / f"{name}.toml")
    places: dict[tuple[str, str], str] = {}
    tensors = list(tensor_names(shared / "oracles" / "families" / family / "model"))
    assert len(tensors) > 20
    for tensor in tensors:
        match = names.match(tensor)
        assert names.ignores(tensor) or match is not None, tensor
        if match is not None:
            rule, values = match
            for target in rule.targets:
                place = (target.fill(values), values.get(rule.stack or "", ""))
                assert place not in places, f"{tensor} and {places[place]}"
                places[place] = tensor


MAPS = (
    *("gguf", "gguf_gemma", "hf_baichuan", "hf_baichuan2", "hf_bert", "hf_bloom", "hf_chatglm2"),
    *("hf_deepseek_moe", "hf_falcon", "hf_falcon_grouped", "hf_llama", "hf_m2m100", "hf_mixtral"),
    *("hf_opt", "hf_phi", "llama2c", "gguf_gemma2", "gguf_phi3", "hf_gemma2", "hf_gemma3"),
    *("hf_mistral", "hf_phi3", "hf_qwen2_moe"),
)


@pytest.mark.parametrize("name", MAPS)
def test_every_map_of_ours_is_read(installed, name):
    names = read_names(name, lambda asked: installed.get("names", asked))
    assert names.rules
