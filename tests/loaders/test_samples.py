"""What the small files hold is what their writers put in."""

import gguf
import numpy as np
import pytest

from inferflow_core.errors import ModelFileError


@pytest.mark.parametrize("sample", ["safetensors", "gguf_v3", "gguf_v2", "gguf_big"])
def test_named_tensors_are_read_back(samples, open_bytes, values, sample):
    checkpoint = open_bytes(*samples[sample])
    numbers = np.random.default_rng(0)
    want = numbers.standard_normal((2, 32), np.float32), numbers.standard_normal(3, np.float32)
    np.testing.assert_array_equal(values(checkpoint, "a.weight"), want[0])
    np.testing.assert_array_equal(values(checkpoint, "b.bias"), want[1])
    if sample in ("gguf_v3", "gguf_v2"):
        packed = gguf.quantize(want[0], gguf.GGMLQuantizationType.Q4_0)
        dequantized = gguf.dequantize(packed, gguf.GGMLQuantizationType.Q4_0)
        np.testing.assert_array_equal(values(checkpoint, "a.weight.q"), dequantized)


@pytest.mark.parametrize("sample", ["gguf_v3", "gguf_v2", "gguf_big"])
def test_gguf_metadata_is_raw_and_config_is_normalised(samples, open_bytes, sample):
    checkpoint = open_bytes(*samples[sample])
    assert checkpoint.source == "gguf"
    assert checkpoint.metadata["tokenizer.ggml.tokens"] == ["<s>", "a", "éé"]
    assert checkpoint.metadata["llama.rope.freq_base"] == 500.0
    config = checkpoint.config
    assert config["llama.embedding_length"] == config["hidden_size"] == 32
    assert config["num_key_value_heads"] == [4, 4]
    assert (config["vocab_size"], config["bos_token_id"], config["model_type"]) == (3, 0, "llama")
    assert config["rope_interleaved"] is True
    assert "tokenizer.ggml.tokens" not in config


@pytest.mark.parametrize("sample", ["torch_zip", "torch_legacy"])
def test_both_containers_of_torch_are_read(samples, open_bytes, values, sample):
    checkpoint = open_bytes(*samples[sample])
    numbers = np.random.default_rng(0)
    want = numbers.standard_normal((2, 32), np.float32), numbers.standard_normal(3, np.float32)
    assert checkpoint.source == "hf"
    np.testing.assert_array_equal(values(checkpoint, "a.weight"), want[0])
    np.testing.assert_array_equal(values(checkpoint, "b.bias"), want[1])


@pytest.mark.parametrize("version", [0, 1, 2])
def test_llama2c_versions_hold_the_same_tensors(samples, open_bytes, values, version):
    from_numbers = open_bytes(*samples["llama2c_v0"])
    checkpoint = open_bytes(*samples[f"llama2c_v{version}"])
    # v1 was written with a shared classifier, the others with their own.
    shared = version == 1
    assert checkpoint.source == "llama2c"
    assert checkpoint.config["tie_word_embeddings"] is shared
    assert set(from_numbers.tensors) - set(checkpoint.tensors) == (
        {"output.weight"} if shared else set()
    )
    for name, info in checkpoint.tensors.items():
        assert (info.format, info.shape) == ("f32", from_numbers.tensors[name].shape)
        near = 0.02 if version == 2 and len(info.shape) == 2 else 0
        found, want = values(checkpoint, name), values(from_numbers, name)
        np.testing.assert_allclose(found, want, atol=near, rtol=0)


def test_llama2c_tensors_stand_in_their_places(samples, open_bytes, values):
    checkpoint = open_bytes(*samples["llama2c_v0"])
    numbers = np.random.default_rng(1)
    embedding = numbers.standard_normal((12, 8), np.float32)
    norm = numbers.standard_normal(8, np.float32)
    np.testing.assert_array_equal(values(checkpoint, "tok_embeddings.weight"), embedding)
    np.testing.assert_array_equal(values(checkpoint, "norm.weight"), norm)
    assert checkpoint.tensors["layers.1.attention.wk.weight"].shape == (4, 8)
    assert checkpoint.tensors["layers.1.feed_forward.w2.weight"].shape == (8, 16)
    assert checkpoint.config["hidden_size"] == 8
    assert checkpoint.config["vocab_size"] == 12
    assert checkpoint.config["rope_interleaved"] is True


def test_reading_is_lazy_and_mapped(samples, open_bytes):
    for sample in ("safetensors", "gguf_v3", "torch_zip", "torch_legacy", "llama2c_v0"):
        checkpoint = open_bytes(*samples[sample])
        name = next(iter(checkpoint.tensors))
        data = checkpoint.read(name)
        assert data.dtype == np.uint8
        assert data.ndim == 1
        assert not data.flags.writeable
        assert np.shares_memory(data, checkpoint.read(name))


def test_a_closed_checkpoint_says_so_and_its_arrays_live_on(samples, open_bytes):
    for loader, data in samples.values():
        checkpoint = open_bytes(loader, data)
        name = next(iter(checkpoint.tensors))
        array = checkpoint.read(name)
        before = array.tobytes()
        checkpoint.close()
        checkpoint.close()
        assert array.tobytes() == before
        with pytest.raises(ModelFileError, match="closed"):
            checkpoint.read(name)


def test_arrays_of_a_closed_gguf_give_an_error_not_a_crash(samples, open_bytes):
    checkpoint = open_bytes(*samples["gguf_v3"])
    checkpoint.close()
    with pytest.raises(ModelFileError, match="closed"):
        checkpoint.metadata["tokenizer.ggml.tokens"]


def test_each_file_is_recognised_by_its_own_loader_alone(samples, installed, tmp_path):
    suffixes = {"safetensors": ".safetensors", "gguf": ".gguf"}
    loaders = {name: installed.get("loader", name)() for name in installed.names("loader")}
    for sample, (loader, data) in samples.items():
        path = tmp_path / f"{sample}{suffixes.get(loader, '.bin')}"
        path.write_bytes(data)
        assert [name for name, entry in loaders.items() if entry.recognises(path)] == [loader]
    (tmp_path / "empty").mkdir()
    for entry in loaders.values():
        assert not entry.recognises(tmp_path / "empty")
        assert not entry.recognises(tmp_path / "missing.bin")


def test_divisors_of_a_gguf_give_the_frequencies_of_llama3(tmp_path, installed):
    rope = installed.get("position", "rope")
    table = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}
    table |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    hugging_face = rope(theta=1e4, scaling=table, context=512)
    wanted, _ = hugging_face.frequencies(16, 512)
    plain, _ = rope(theta=1e4, context=512).frequencies(16, 512)
    divisors = (np.array(plain) / np.array(wanted)).astype(np.float32)
    assert len(set(divisors)) > 3
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_tensor("rope_freqs.weight", divisors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    config = installed.get("loader", "gguf")().open(tmp_path / "a.gguf").config
    found, scale = rope(theta=1e4, scaling=config["rope_scaling"], context=512).frequencies(16, 512)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert scale == 1.0


def refused(tmp_path, installed, divisors, **keys):
    """What is said of a GGUF with these divisors."""
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    for key, value in keys.items():
        getattr(writer, f"add_rope_scaling_{key}")(value)
    writer.add_tensor("rope_freqs.weight", divisors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelFileError) as caught:
        installed.get("loader", "gguf")().open(tmp_path / "a.gguf")
    return str(caught.value)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_impossible_divisors_are_refused(tmp_path, installed, wrong):
    assert "not above 0" in refused(tmp_path, installed, np.array([1, wrong], np.float32))


def test_divisors_that_would_be_passed_over_are_refused(tmp_path, installed):
    said = refused(tmp_path, installed, np.array([1, 2], np.float16))
    assert "rope_freqs.weight is no vector of f32: (2,), f16" in said
    divisors = np.array([1, 2], np.float32)
    linear = gguf.RopeScalingType.LINEAR
    said = refused(tmp_path, installed, divisors, type=linear, factor=2.0)
    assert "rope.scaling.type 'linear' and divisors of the frequencies, rope_freqs.weight:" in said
