"""The reference files: every tensor of every checkpoint, against readers of others."""

import gguf
import numpy as np
import pytest
from safetensors import safe_open

KINDS = {"bfloat16": "bf16", "F16": "f16", "BF16": "bf16", "F32": "f32"}


@pytest.fixture
def loaders(installed):
    return {name: installed.get("loader", name)() for name in installed.names("loader")}


def test_gguf_agrees_with_the_reader_of_the_gguf_package(installed, loaders, shared, values):
    formats = set()
    files = sorted(shared.glob("oracles/formats/gguf_*/*.gguf"))
    assert len(files) == 15
    for path in files:
        assert [name for name, loader in loaders.items() if loader.recognises(path)] == ["gguf"]
        checkpoint, reader = loaders["gguf"].open(path), gguf.GGUFReader(path)
        assert list(checkpoint.tensors) == [tensor.name for tensor in reader.tensors]
        for tensor in reader.tensors:
            want = gguf.dequantize(tensor.data, tensor.tensor_type)
            np.testing.assert_array_equal(values(checkpoint, tensor.name), want)
            formats.add(checkpoint.tensors[tensor.name].format)
    plain = {"f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"}
    assert formats == plain | {"q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl"}
    assert formats <= set(installed.names("format"))


@pytest.mark.parametrize(
    "name",
    [
        "bert-bge",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("baichuan", "falcon", "gpt-2")),
        pytest.param("llama-spm", marks=pytest.mark.slow),
    ],
)
def test_metadata_of_real_vocabularies(loaders, shared, name):
    path = shared / f"data/vocabs/ggml-vocab-{name}.gguf"
    checkpoint, reader = loaders["gguf"].open(path), gguf.GGUFReader(path)
    assert checkpoint.tensors == {}
    fields = [key for key in reader.fields if not key.startswith("GGUF.")]
    assert list(checkpoint.metadata) == fields
    for key in fields:
        assert checkpoint.metadata[key] == reader.fields[key].contents(), key
    assert checkpoint.config["vocab_size"] == len(checkpoint.metadata["tokenizer.ggml.tokens"])


def test_every_family_opens_with_one_loader_and_finite_numbers(loaders, shared, values):
    folders = sorted(shared.glob("oracles/families/*/model"))
    assert len(folders) == 31
    seen = set()
    for folder in folders:
        (name,) = [name for name, loader in loaders.items() if loader.recognises(folder)]
        checkpoint = loaders[name].open(folder)
        seen.add(name)
        assert checkpoint.config["model_type"]
        for key in ("hidden_size", "num_hidden_layers", "vocab_size"):
            assert type(checkpoint.config[key]) is int, (folder, key)
        for tensor in checkpoint.tensors:
            assert np.isfinite(values(checkpoint, tensor)).all(), (folder, tensor)
    assert seen == {"safetensors", "pickle"}


def test_safetensors_agree_with_the_reader_of_the_safetensors_package(loaders, shared, values):
    count = 0
    for path in sorted(shared.glob("oracles/families/*/model/*.safetensors")):
        checkpoint = loaders["safetensors"].open(path)
        with safe_open(path, "np") as reader:
            assert set(reader.keys()) == set(checkpoint.tensors)
            for name, info in checkpoint.tensors.items():
                assert KINDS[reader.get_slice(name).get_dtype()] == info.format
                if info.format == "bf16":  # numpy has no such type: the package refuses it
                    continue
                want = reader.get_tensor(name).astype(np.float32)
                np.testing.assert_array_equal(values(checkpoint, name), want)
                count += 1
    assert count > 100


def test_pickle_and_safetensors_of_one_model_hold_the_same_bytes(loaders, shared):
    count = 0
    for folder in sorted(shared.glob("oracles/families/*/model")):
        if not loaders["safetensors"].recognises(folder) or not list(folder.glob("*.bin")):
            continue
        pickled, plain = loaders["pickle"].open(folder), loaders["safetensors"].open(folder)
        assert pickled.tensors == plain.tensors
        for name in plain.tensors:
            assert pickled.read(name).tobytes() == plain.read(name).tobytes()
        count += 1
    assert count == 4


@pytest.mark.parametrize(
    ("file", "tied", "count"),
    [
        ("oracles/formats/llama2c_shared/model.bin", True, 2),
        ("oracles/formats/llama2c_unshared_gqa/model.bin", False, 2),
        ("data/stories260K/stories260K.bin", True, 5),
    ],
)
def test_llama2c(loaders, shared, values, file, tied, count):
    path = shared / file
    assert [name for name, loader in loaders.items() if loader.recognises(path)] == ["llama2c"]
    checkpoint = loaders["llama2c"].open(path)
    config = checkpoint.config
    assert (config["num_hidden_layers"], config["tie_word_embeddings"]) == (count, tied)
    assert len(checkpoint.tensors) == 9 * count + 2 + (not tied)
    # In another order of the file, numbers of matrices (around 0) would stand among the norms'.
    for name in checkpoint.tensors:
        numbers = values(checkpoint, name)
        assert np.isfinite(numbers).all()
        assert ("norm" in name) == (abs(numbers.mean()) > 0.2), name


def test_llama2c_takes_no_other_bin_of_its_folder(loaders, shared):
    for file in ("oracles/formats/llama2c_shared/tokenizer.bin", "data/stories260K/tok512.bin"):
        assert not any(loader.recognises(shared / file) for loader in loaders.values())
