"""Packed weights on the cpu backend: every format against the reference, every kernel's bits."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

pytest.importorskip("numba", reason="the cpu backend needs numba")

from blocks_of_formats import COLUMNS, blocks
from inferflow_backends.cpu import amx
from inferflow_backends.cpu.buffers import address, aligned
from inferflow_backends.cpu.forms import Forms
from inferflow_backends.cpu.kernel_cache import kernels_cached_here
from inferflow_backends.cpu.kernels.options import compiled
from inferflow_backends.cpu.layouts import LAYOUTS
from inferflow_backends.cpu.pack import Packed, format_kernels, pack
from inferflow_backends.cpu.tape import PRODUCTS, Form, State
from inferflow_backends.cpu.unpack import unpacked

from inferflow_core.catalog import Catalog

with kernels_cached_here():
    from inferflow_backends.cpu.kernels.linear import op_linear_packed
    from inferflow_backends.cpu.kernels.quantize import op_quantize

FORMATS = sorted(LAYOUTS)


def packed(format: str, raw: Any, columns: int = COLUMNS) -> Packed:
    shape = (len(raw), columns)
    weight: Any = SimpleNamespace(shape=shape, format=format, packed=lambda: raw.reshape(-1))
    return pack(weight, threads=2)


def reference(format: str, raw: Any) -> Any:
    return quants.dequantize(raw, GGMLQuantizationType[format.upper()])


@pytest.mark.parametrize("rows", [16, 37])
@pytest.mark.parametrize("format", FORMATS)
def test_packed_weights_are_the_reference_to_the_bit(format: str, rows: int) -> None:
    raw = blocks(format, rows)
    held = packed(format, raw)
    codes, scales = held.layout.group_bytes(COLUMNS)
    home = aligned(64 * COLUMNS).view(np.float32)
    floats = compiled(format_kernels(format).floats).ctypes
    found: list[Any] = []
    for group in range(-(-rows // 16)):
        places = address(held.codes) + codes * group, address(held.scales) + scales * group
        floats(*places, COLUMNS // 32, address(home))
        found.append(home.reshape(COLUMNS, 16).T.copy())
    assert np.array_equal(np.concatenate(found)[:rows], reference(format, raw))


@pytest.mark.parametrize("rows", [16, 37])
@pytest.mark.parametrize("format", FORMATS)
def test_plain_numpy_unpacks_the_same_numbers(format: str, rows: int) -> None:
    raw = blocks(format, rows)
    held = packed(format, raw)
    data = np.concatenate([held.codes, held.scales])
    assert np.array_equal(unpacked(data, format, held.shape), reference(format, raw))


@pytest.mark.parametrize("columns", [16, 64, 75])
@pytest.mark.parametrize("rows", [5, 16, 100, 1031])
@pytest.mark.parametrize("format", ["f32", "f16", "bf16"])
def test_float_weights_turn_round(format: str, rows: int, columns: int) -> None:
    numbers = np.random.default_rng(0).standard_normal((rows, columns), np.float32)
    stored = Catalog().get("format", format)().pack(numbers)
    numbers = Catalog().get("format", format)().unpack(stored, numbers.shape)
    weight: Any = SimpleNamespace(
        shape=numbers.shape,
        format=format,
        packed=lambda: stored.reshape(rows, -1),
        values=lambda: numbers,
    )
    held = pack(weight, threads=2)
    assert held.codes.shape == (-(-rows // 16), columns, 16)
    assert np.array_equal(
        unpacked(held.codes.reshape(-1).view(np.uint8), format, (rows, columns)), numbers
    )
    spare = held.codes.swapaxes(1, 2).reshape(-1, columns)[rows:]
    assert not spare.any()


def run_op(op: Any, words: list[int], tokens: int, threads: int = 1) -> None:
    row = np.array([op.address, *words] + [0] * (15 - len(words)), np.int64)
    state, room = np.zeros(32, np.int64), PRODUCTS + 64 * COLUMNS
    scratch = aligned(room * threads)
    state[State.TOKENS], state[State.SCRATCH] = tokens, address(scratch)
    state[State.SCRATCH_BYTES] = room
    for tid in range(threads):
        op.ctypes(address(row), tid, threads, address(state))


def quantized(x: Any) -> tuple[Any, Any]:
    """Codes int8 and stats of tokens, with room for a last tile."""
    tokens, columns = x.shape
    home = aligned(x.nbytes)
    home[:] = x.reshape(-1).view(np.uint8)
    codes, stats = (aligned((tokens + 16) * columns) for _ in range(2))
    words = [State.TOKENS, columns // 32, 32, address(home), address(codes), address(stats)]
    words += [columns, 1 << 32]
    run_op(op_quantize, words, tokens)
    return codes, stats


def multiply(held: Packed, x: Any, limit: int | None = None, threads: int = 1) -> Any:
    """x [tokens, columns] times the matrix. `limit`: of the tokens that packed codes serve."""
    (n, k), tokens = held.shape, len(x)
    forms = Forms()
    form = np.array(_words(forms.address(held.format)), np.int64)
    if limit is not None:
        form[Form.LIMIT] = limit
    codes, stats = quantized(x)
    y = aligned(4 * tokens * n).view(np.float32)
    words = [State.TOKENS, 1, address(held.codes), address(held.scales)]
    words += [*held.layout.group_bytes(k), k, n, address(form)]
    words += [address(codes), address(stats), 0, 0, address(y)]
    run_op(op_linear_packed, words, tokens, threads)
    return y.reshape(tokens, n)


def _words(at: int) -> Any:
    import ctypes

    return (ctypes.c_int64 * len(Form)).from_address(at)


def whole_numbers(tokens: int) -> Any:
    """Activations that 8 bits hold exactly: in each 32 the largest is 127."""
    rng = np.random.default_rng(tokens)
    x = rng.integers(-127, 128, (tokens, COLUMNS)).astype(np.float32)
    x[:, ::32] = 127
    return x


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("limit", [0, 64])
def test_products_of_numbers_that_eight_bits_hold(format: str, limit: int) -> None:
    """Of packed codes (`limit` 64) and of unpacked ones (0)."""
    raw = blocks(format)
    x = whole_numbers(21)
    expected = x.astype(np.float64) @ reference(format, raw).astype(np.float64).T
    found = multiply(packed(format, raw), x, limit)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.fixture
def without_tiles(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(amx, "usable", lambda: False)


@pytest.mark.parametrize("format", FORMATS)
def test_bits_do_not_depend_on_how_many_tokens_or_which_kernel(
    format: str, without_tiles: Callable[[], None]
) -> None:
    """Alone, among 1 to 300 others, from packed and unpacked codes, by one thread and three, and on
    AMX where it is."""
    held = packed(format, blocks(format))
    x = np.random.default_rng(1).standard_normal((300, COLUMNS)).astype(np.float32)
    together = multiply(held, x)
    assert np.isfinite(together).all()
    for t in (0, 17, 299):
        assert np.array_equal(multiply(held, x[t : t + 1]), together[t : t + 1])
    for limit in (0, 64):
        for count in (2, 5, 16, 64):
            assert np.array_equal(multiply(held, x[:count], limit), together[:count])
    assert np.array_equal(multiply(held, x, 0, threads=3), together)
    without_tiles()
    assert np.array_equal(multiply(held, x, 0), together)


def test_activations_of_zero() -> None:
    held = packed("q4_k", blocks("q4_k"))
    assert not multiply(held, np.zeros((3, COLUMNS), np.float32)).any()


@pytest.mark.parametrize("format", ["q4_0", "q6_k"])
def test_rows_whose_length_no_block_fits_are_held_as_float32(format: str) -> None:
    values = np.ones((4, 33), np.float32)
    weight: Any = SimpleNamespace(shape=(4, 33), format=format, values=lambda: values)
    assert pack(weight).format == "f32"
