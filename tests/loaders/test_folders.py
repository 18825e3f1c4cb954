"""Folders in the layout of Hugging Face: which file is read, and what an index may say."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from inferflow_core.errors import ModelFileError


def tensors(*names: str) -> bytes:
    return save({name: np.full(2, i, np.float32) for i, name in enumerate(names)})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text('{"n_embd": 4, "model_type": "gpt2", "eos_token_id": 1}')
    return tmp_path


@pytest.fixture
def loader(installed):
    return installed.get("loader", "safetensors")()


@pytest.fixture
def pickles(installed):
    return installed.get("loader", "pickle")()


def index(folder, weights, name="model.safetensors.index.json"):
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": weights}))


@pytest.mark.parametrize("name", ["model.safetensors", "other.safetensors"])
def test_a_folder_with_one_file(folder, loader, values, name):
    (folder / name).write_bytes(tensors("a", "b"))
    assert loader.recognises(folder)
    checkpoint = loader.open(folder)
    assert (checkpoint.path, checkpoint.source) == (folder, "hf")
    assert checkpoint.config["hidden_size"] == 4
    assert values(checkpoint, "b").tolist() == [1, 1]


def test_a_single_file_takes_the_config_beside_it(folder, loader):
    (folder / "part.safetensors").write_bytes(tensors("a"))
    (folder / "more.safetensors").write_bytes(tensors("b"))
    assert not loader.recognises(folder)
    with pytest.raises(ModelFileError, match="holds 2 files") as caught:
        loader.open(folder)
    assert caught.value.hint == "name one of the files"
    assert loader.recognises(folder / "part.safetensors")
    checkpoint = loader.open(folder / "part.safetensors")
    assert set(checkpoint.tensors) == {"a"}
    assert checkpoint.config["model_type"] == "gpt2"


def test_model_safetensors_comes_before_others(folder, loader):
    (folder / "model.safetensors").write_bytes(tensors("a"))
    (folder / "adapter.safetensors").write_bytes(tensors("b"))
    assert set(loader.open(folder).tensors) == {"a"}


def test_shards(folder, loader, values):
    (folder / "one.safetensors").write_bytes(tensors("a", "b"))
    (folder / "two.safetensors").write_bytes(tensors("c", "unlisted"))
    index(folder, {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"})
    assert loader.recognises(folder)
    checkpoint = loader.open(folder)
    assert set(checkpoint.tensors) == {"a", "b", "c", "unlisted"}
    assert [values(checkpoint, name)[0] for name in ("a", "b", "c")] == [0, 1, 0]
    checkpoint.close()
    with pytest.raises(ModelFileError, match="closed"):
        checkpoint.read("c")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": "one.safetensors", "x": "one.safetensors"}, "'x' is in none of its files"),
        ({"a": "one.safetensors", "b": "two.safetensors"}, "'a' is in one.safetensors too"),
        ({"b": "two.safetensors", "a": "three.safetensors"}, "cannot be read"),
        ({"c": "two.safetensors", "b": "four.safetensors"}, "'b' is in two.safetensors, not four"),
        ({"a": "../one.safetensors"}, "is not a file name"),
        ({"a": "/etc/passwd"}, "is not a file name"),
        ({"a": "sub\\one.safetensors"}, "is not a file name"),
        ({"a": ".."}, "is not a file name"),
        ({"a": ""}, "is not a file name"),
        ({"a": 3}, "is not a file name"),
        ({}, "has no table 'weight_map'"),
        ([], "has no table 'weight_map'"),
    ],
)
def test_wrong_indexes(folder, loader, weights, message):
    (folder / "one.safetensors").write_bytes(tensors("a"))
    (folder / "two.safetensors").write_bytes(tensors("a", "b", "c"))
    (folder / "four.safetensors").write_bytes(tensors("d"))
    index(folder, weights)
    with pytest.raises(ModelFileError, match=message.replace("..", r"\.\.")):
        loader.open(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "a JSON list, not an object"),
        ("[" * 200_000, "is not JSON"),
        ('{"a": ' + "1" * 5000 + "}", "is not JSON"),
        ("\ud800", "is not JSON"),
    ],
)
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_wrong_json(folder, loader, name, content, message):
    (folder / "model.safetensors").write_bytes(tensors("a"))
    (folder / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ModelFileError, match=message) as caught:
        loader.open(folder)
    assert caught.value.path == folder / name
    assert len(str(caught.value)) < 1000


def test_ids_of_generation_config_are_laid_over(folder, loader):
    (folder / "model.safetensors").write_bytes(tensors("a"))
    generation = {"eos_token_id": [5, 6], "pad_token_id": None, "temperature": 0.5}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    config = loader.open(folder).config
    assert config["eos_token_id"] == [5, 6]
    assert not {"pad_token_id", "temperature"} & set(config)


def test_a_folder_without_a_config_has_an_empty_one(tmp_path, loader):
    (tmp_path / "model.safetensors").write_bytes(tensors("a"))
    assert loader.open(tmp_path).config == {}


def test_a_folder_without_weights(folder, loader, pickles):
    for entry in (loader, pickles):
        assert not entry.recognises(folder)
        with pytest.raises(ModelFileError, match="holds 0 files"):
            entry.open(folder)


def test_sharded_pickles_and_safetensors_before_them(folder, samples, loader, pickles):
    data = samples["torch_zip"][1]
    (folder / "pytorch_model-00001-of-00001.bin").write_bytes(data)
    names = dict.fromkeys(["a.weight", "b.bias"], "pytorch_model-00001-of-00001.bin")
    index(folder, names, "pytorch_model.bin.index.json")
    assert pickles.recognises(folder)
    assert set(pickles.open(folder).tensors) == {"a.weight", "b.bias"}
    (folder / "model.safetensors").write_bytes(tensors("a"))
    assert loader.recognises(folder)
    assert not pickles.recognises(folder)
