"""Every format against the `gguf` package's reference and against numpy."""

import gguf
import numpy as np
import pytest

from inferflow_core.catalog import HOME
from inferflow_core.errors import ShapeError

PLAIN = {
    **{"f64": "<f8", "f32": "<f4", "f16": "<f2"},
    **{"i64": "<i8", "i32": "<i4", "i16": "<i2", "i8": "i1", "u8": "u1", "bool": "?"},
}
PACKING = ("bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0")
READ_ONLY = ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl")


@pytest.fixture(scope="module")
def form(installed):
    return lambda name: installed.get("format", name)()


def test_the_lists_above_are_all_there_is(installed):
    ours = {e.name for e in installed.entries("format") if e.distribution == HOME}
    assert {*PLAIN, *PACKING, *READ_ONLY} <= ours


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (0, 4), (2, 3, 4)])
def test_plain_numbers_are_what_numpy_says(form, name, shape):
    numbers = np.random.default_rng(3).integers(0, 2, shape)
    data = numbers.astype(PLAIN[name]).reshape(-1).view(np.uint8)
    found = form(name).unpack(data, shape)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, numbers.astype(np.float32), strict=True)
    assert form(name).block_bytes == np.dtype(PLAIN[name]).itemsize
    np.testing.assert_array_equal(form(name).pack(found), data)


def test_f32_is_a_view_and_f64_rounds(form):
    data = np.arange(4, dtype=np.float32).view(np.uint8)
    assert np.shares_memory(form("f32").unpack(data, (4,)), data)
    third = np.array([1 / 3, 1e300])
    found = form("f64").unpack(third.view(np.uint8), (2,))
    np.testing.assert_array_equal(found, np.array([1 / 3, np.inf], np.float32))


def test_bf16_rounds_to_nearest_even_and_keeps_what_is_not_a_number(form):
    bits = [0x3F800000, 0x3F808000, 0x3F818000, 0x3F808001, 0x7F800000, 0xFF800000, 0x7F800001]
    want = [0x3F80, 0x3F80, 0x3F82, 0x3F81, 0x7F80, 0xFF80, 0x7FC0]
    packed = form("bf16").pack(np.array(bits, np.uint32).view(np.float32)).view("<u2")
    assert packed.tolist() == want
    back = form("bf16").unpack(packed.view(np.uint8), (7,)).view(np.uint32)
    assert back.tolist() == [half << 16 for half in want]


@pytest.mark.parametrize("name", [*PACKING, *READ_ONLY])
def test_blocks_have_the_sizes_of_ggml(form, name):
    sizes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name.upper()]]
    assert (form(name).block, form(name).block_bytes) == sizes
    assert form(name).name == name


@pytest.mark.parametrize("name", [*PACKING, *READ_ONLY])
@pytest.mark.parametrize("lead", [(), (3,), (40,), (128,), (2, 3), (0,)])
def test_unpacking_is_the_reference_on_any_bytes(form, name, lead):
    kind = gguf.GGMLQuantizationType[name.upper()]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = np.random.default_rng(5).integers(0, 256, (*lead, 2 * size), np.uint8)
    found = form(name).unpack(data.reshape(-1), (*lead, 2 * block))
    if data.size:
        with np.errstate(all="ignore"):
            want = gguf.dequantize(data, kind)
        np.testing.assert_array_equal(found, want)
    assert found.shape == (*lead, 2 * block)
    assert found.dtype == np.float32


@pytest.mark.parametrize("name", PACKING)
def test_packing_is_the_reference_and_unpacks_near_the_values(form, name):
    values = np.random.default_rng(7).standard_normal((5, 64), np.float32)
    data = form(name).pack(values)
    want = gguf.quantize(values, gguf.GGMLQuantizationType[name.upper()])
    np.testing.assert_array_equal(data, want.view(np.uint8).reshape(-1))
    error = np.abs(form(name).unpack(data, values.shape) - values).max()
    assert 0 < error < {"bf16": 0.02, "q8_0": 0.02}.get(name, 0.4)


@pytest.mark.parametrize("name", READ_ONLY)
def test_formats_without_a_packer_say_so(form, name):
    with pytest.raises(NotImplementedError):
        form(name).pack(np.zeros((1, 256), np.float32))


@pytest.mark.parametrize("name", ["q4_0", "q6_k"])
def test_rows_that_are_no_whole_blocks_are_refused(form, name):
    with pytest.raises(ShapeError, match=f"{name}: rows of 33"):
        form(name).unpack(np.zeros(18, np.uint8), (33,))
    with pytest.raises(ShapeError, match=name):
        form(name).pack(np.zeros((2, 33), np.float32))


@pytest.mark.parametrize("name", ["f32", "bf16", "q8_0"])
def test_bytes_of_another_size_or_type_are_refused(form, name):
    size = 2 * form(name).block_bytes * 32 // form(name).block
    with pytest.raises(ShapeError, match=f"takes {size} bytes"):
        form(name).unpack(np.zeros(size - 1, np.uint8), (2, 32))
    with pytest.raises(ShapeError, match="int8"):
        form(name).unpack(np.zeros(size, np.int8), (2, 32))
