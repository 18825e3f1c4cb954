"""Cut, changed and invented headers: a ModelFileError or a valid file, soon and in little room."""

import json
import os
import resource
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferflow_core.errors import ModelFileError

SAMPLES = (
    *("safetensors", "gguf_v3", "gguf_v2", "gguf_big"),
    *("llama2c_v0", "llama2c_v1", "llama2c_v2", "torch_zip", "torch_legacy"),
)
ROOM = 200_000_000
SECONDS = 1.0

fuzzing = settings(
    max_examples=100,
    deadline=SECONDS * 1000,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(autouse=True)
def little_room():
    """Taking more than ROOM beyond what the process has now is a MemoryError."""
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("needs /proc to know how much memory the process has")
    now = int(status.read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_the_fixture_above_would_notice_an_allocation():
    with pytest.raises(MemoryError):
        np.empty(2 * ROOM, np.uint8)


def header_end(sample: str, data: bytes) -> int:
    """All of the small files is header but the numbers at their end."""
    if sample.startswith("llama2c"):
        return 28 if sample.endswith("0") else 256
    if sample == "torch_zip":
        return len(data)
    return len(data) - 4 * (2 * 32 + 3)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_file_cut_at_any_byte_of_its_header(samples, open_bytes, sample):
    loader, data = samples[sample]
    end = header_end(sample, data)
    assert end > 24
    last = len(data.rstrip(b"\0"))  # the padding at the end of a GGUF may be missing
    for size in [*range(end), last - 4, last - 1]:
        began = time.perf_counter()
        found = open_bytes(loader, data[:size])
        assert time.perf_counter() - began < SECONDS
        assert isinstance(found, ModelFileError), f"{sample} cut to {size} bytes"
        assert len(str(found)) < 1000
    assert not isinstance(open_bytes(loader, data), ModelFileError)


HOSTILE = st.sampled_from([0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1])


@pytest.mark.parametrize("sample", SAMPLES)
def test_changed_headers(samples, open_bytes, sample):
    loader, data = samples[sample]
    end = header_end(sample, data)
    place = st.integers(0, end - 1)
    byte = st.tuples(place, st.integers(0, 255).map(lambda value: bytes([value])))
    word = st.tuples(place, st.builds(lambda v, n: v.to_bytes(8, "little")[:n], HOSTILE, LENGTHS))

    @fuzzing
    @given(st.lists(st.one_of(byte, word), min_size=1, max_size=4))
    def run(changes):
        changed = bytearray(data)
        for start, new in changes:
            changed[start : start + len(new)] = new
        open_bytes(loader, bytes(changed))

    run()


LENGTHS = st.sampled_from([1, 2, 4, 8])

MAGICS = {
    "safetensors": b"",
    "gguf": b"GGUF\x03\0\0\0",
    "llama2c": b"24ka\x02\0\0\0",
    "pickle": b"\x80\x02",
}


@pytest.mark.parametrize("loader", MAGICS)
def test_invented_headers(open_bytes, loader):
    @fuzzing
    @given(st.binary(max_size=400))
    def run(noise):
        open_bytes(loader, MAGICS[loader] + noise)

    run()


def safetensors(header: object, data: int = 0) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def entry(shape: object = (1,), offsets: object = (0, 4), dtype: object = "F32") -> object:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from([2**63, 10**400, 0.5, "F32"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
entries = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F32", "BF16", "F4"]) | json_values},
    optional={"shape": json_values, "data_offsets": json_values},
)


def test_invented_safetensors_tables(open_bytes):
    @fuzzing
    @given(st.dictionaries(st.text(max_size=4), entries | json_values, max_size=3))
    def run(header):
        open_bytes("safetensors", safetensors(header, 8))

    run()


@pytest.mark.parametrize(
    ("header", "size", "message"),
    [
        (b"[" * 100_000, 0, "not valid JSON"),
        (b"[]", 0, "not a JSON object"),
        (b'{"a":' + b"9" * 5000 + b"}", 0, "not valid JSON"),
        (b'{"a": {}, "a": {}}', 0, "stands twice"),
        (b"\xff\xfe{", 0, "not valid JSON"),
        ({"a": 3}, 0, "no proper shape"),
        ({"a": entry(shape=[-1])}, 4, "no proper shape"),
        ({"a": entry(shape=[True])}, 4, "no proper shape"),
        ({"a": entry(shape=[1.0])}, 4, "no proper shape"),
        ({"a": entry(offsets=[0])}, 4, "no proper shape"),
        ({"a": entry(dtype="F4")}, 4, "has type 'F4'; readable are F64, F32"),
        ({"a": entry(dtype=["F32"])}, 4, "has type"),
        ({"a": entry(shape=[2**40, 2**40])}, 4, "too large"),
        ({"a": entry(shape=[0, 2**62], offsets=[0, 0])}, 0, "too large"),
        ({"a": entry(shape=[1] * 9)}, 4, "impossible shape"),
        ({"a": entry(shape=[2])}, 4, "takes 8 bytes, not 4"),
        ({"a": entry(offsets=[4, 8])}, 8, "leaves a gap"),
        ({"a": entry(), "b": entry()}, 4, "overlaps"),
        ({"a": entry(), "b": entry(offsets=[2, 6])}, 6, "overlaps"),
        ({"a": entry()}, 3, "cut short"),
        ({"a": entry()}, 5, "its tensors end at"),
    ],
)
def test_wrong_safetensors(open_bytes, header, size, message):
    found = open_bytes("safetensors", safetensors(header, size))
    assert isinstance(found, ModelFileError)
    assert message in str(found)


def gguf_text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def gguf_file(keys=(), tensors=(), *, counts=None, data=64) -> bytes:
    counts = counts or (len(tensors), len(keys))
    header = b"GGUF" + struct.pack("<IQQ", 3, *counts) + b"".join(keys) + b"".join(tensors)
    return header.ljust(-(-len(header) // 32) * 32, b"\0") + bytes(data)


def gguf_key(name, kind, value: bytes) -> bytes:
    return gguf_text(name) + struct.pack("<I", kind) + value


def gguf_tensor(name="a", shape=(4,), kind=0, offset=0) -> bytes:
    axes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return gguf_text(name) + axes + struct.pack("<IQ", kind, offset)


NESTED = struct.pack("<IQ", 9, 1) * 50 + struct.pack("<IQ", 4, 0)
WIDE = struct.pack("<IQ", 8, 2**40)
ALIGNMENT = "general.alignment"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GGML" + bytes(40), "begins with b'GGML'"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1; readable are 2 and 3"),
        (gguf_file(counts=(2**63, 0)), "more than fit"),
        (gguf_file(counts=(0, 2**63)), "more than fit"),
        (gguf_file([struct.pack("<Q", 2**63)]), "a text of"),
        (gguf_file([gguf_key("a", 13, b"")]), "unknown type 13"),
        (gguf_file([gguf_key(b"\xff", 7, b"\1")]), "not UTF-8"),
        (gguf_file([gguf_key("a", 7, b"\1")] * 2), "'a' stands twice"),
        (gguf_file([gguf_key("a", 9, NESTED)]), "nested more than 4 deep"),
        (gguf_file([gguf_key("a", 9, WIDE)]), "array of 1099511627776 items"),
        (gguf_file([gguf_key("a", 9, struct.pack("<IQ", 10, 1000))]), "too early"),
        (gguf_file([gguf_key(ALIGNMENT, 4, struct.pack("<I", 0))]), "not a power of two"),
        (gguf_file([gguf_key(ALIGNMENT, 4, struct.pack("<I", 24))]), "not a power of two"),
        (gguf_file([gguf_key(ALIGNMENT, 8, gguf_text("32"))]), "not a power of two"),
        (gguf_file([gguf_key("split.count", 2, b"\3\0")]), "is one of 3 parts"),
        (gguf_file(tensors=[gguf_tensor()] * 2), "'a' stands twice"),
        (gguf_file(tensors=[gguf_tensor(), gguf_tensor("b")]), "'a' and 'b' overlap"),
        (gguf_file(tensors=[gguf_tensor(offset=16)]), "not at a multiple of 32"),
        (gguf_file(tensors=[gguf_tensor(offset=64)]), "cut short"),
        (gguf_file(tensors=[gguf_tensor(offset=2**63)]), "cut short"),
        (gguf_file(tensors=[gguf_tensor(shape=(17,))]), "cut short"),
        (gguf_file(tensors=[gguf_tensor(shape=(2**32, 2**32))]), "too large"),
        (gguf_file(tensors=[gguf_tensor(shape=(0, 2**63))]), "too large"),
        (gguf_file(tensors=[gguf_tensor(shape=(1,) * 5)]), "5 axes; 4 are allowed"),
        (gguf_file(tensors=[gguf_tensor(shape=(16,), kind=2)]), "whole blocks of 32"),
        (gguf_file(tensors=[gguf_tensor(kind=16)]), "stored as iq2_xxs; readable here"),
        (gguf_file(tensors=[gguf_tensor(kind=99)]), "stored as type 99; readable here"),
    ],
)
def test_wrong_gguf(open_bytes, data, message):
    found = open_bytes("gguf", data)
    assert isinstance(found, ModelFileError)
    assert message in str(found)


def test_the_gguf_pieces_above_make_a_valid_file(open_bytes):
    alignment = gguf_key(ALIGNMENT, 4, struct.pack("<I", 16))
    data = gguf_file([alignment], [gguf_tensor(), gguf_tensor("b", offset=16)])
    assert set(open_bytes("gguf", data).tensors) == {"a", "b"}


def test_block_types_of_a_big_endian_gguf_are_refused(samples, open_bytes):
    data = bytearray(samples["gguf_big"][1])
    kind = data.index(b"a.weight") + len("a.weight") + 4 + 16
    assert data[kind : kind + 4] == bytes(4)
    data[kind + 3] = 2
    assert "stored as q4_0" in str(open_bytes("gguf", bytes(data)))


LLAMA2C = (8, 16, 2, 4, 2, 12, 6)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, *LLAMA2C[1:]), "dim is 0"),
        ((8, 16, 2**31 - 1, 4, 2, 12, 6), "n_layers is 2147483647"),
        ((8, 16, -2, 4, 2, 12, 6), "n_layers is -2"),
        ((8, 16, 2, 3, 3, 12, 6), "3 heads, 3 of keys, width 8"),
        ((8, 16, 2, 4, 3, 12, 6), "4 heads, 3 of keys, width 8"),
        ((8, 16, 2, 4, 2, -(2**31), 6), "vocab_size is -2147483648"),
        ((8, 16, 3, 4, 2, 12, 6), "follow from the header of a llama2.c v0 file"),
        ((2**20, 2**22, 2**10, 1, 1, 2**24, 2**28), "follow from the header"),
    ],
)
def test_wrong_llama2c(samples, open_bytes, numbers, message):
    data = struct.pack("<7i", *numbers) + samples["llama2c_v0"][1][28:]
    found = open_bytes("llama2c", data)
    assert isinstance(found, ModelFileError)
    assert message in str(found)


@pytest.mark.parametrize(
    ("place", "new", "message"),
    [
        (4, struct.pack("<i", 3), "version 3; readable are 0, 1 and 2"),
        (37, struct.pack("<i", 0), "int8 groups of 0"),
        (37, struct.pack("<i", -8), "int8 groups of -8"),
        (37, struct.pack("<i", 7), "not whole groups of 7"),
        (36, b"\1", "follow from the header of a llama2.c v2 file"),
    ],
)
def test_wrong_llama2c_v2(samples, open_bytes, place, new, message):
    data = bytearray(samples["llama2c_v2"][1])
    data[place : place + len(new)] = new
    assert message in str(open_bytes("llama2c", bytes(data)))


def test_llama2c_int8_codes_become_floats_by_their_group(samples, open_bytes, values):
    data = bytearray(samples["llama2c_v2"][1])
    # The norms: 2 for each of 2 layers and the last one, 8 floats each; then the embedding.
    start, count = 256 + 5 * 8 * 4, 12 * 8
    codes = np.frombuffer(bytes(data[start : start + count]), np.int8).reshape(-1, 8)
    scales = np.frombuffer(bytes(data[start + count : start + count + 4 * 12]), "<f4")
    found = values(open_bytes("llama2c", bytes(data)), "tok_embeddings.weight")
    np.testing.assert_array_equal(found, codes.astype(np.float32) * scales[:, None])


@pytest.mark.parametrize("loader", ["safetensors", "gguf", "llama2c", "pickle"])
def test_what_is_no_file_is_one_error(installed, tmp_path, loader):
    entry = installed.get("loader", loader)()
    pipe = tmp_path / "pipe.bin"
    os.mkfifo(pipe)
    empty = tmp_path / "empty.bin"
    empty.touch()
    for path, message in [
        (tmp_path / "missing.bin", "cannot be read"),
        (pipe, "not a regular file"),
        (empty, "is empty"),
    ]:
        assert not entry.recognises(path)
        with pytest.raises(ModelFileError, match=message):
            entry.open(path)
