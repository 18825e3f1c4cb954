"""append: a token's keys and values into the cache, in the order that attention walks them."""

from numba import cfunc, int64, njit

from inferflow_backends.cpu.kernels.options import INNER, OP, OPTIONS
from inferflow_backends.cpu.simd import f32_at, i32_at, i64_at, set_f16, set_f32
from inferflow_backends.cpu.tape import State

TOKENS, PAGE_TOKENS = 8 * State.TOKENS, 8 * State.PAGE_TOKENS
POSITIONS, SEQ_OF = 8 * State.POSITIONS, 8 * State.SEQ_OF
TABLES, TABLE_WIDTH = 8 * State.BLOCK_TABLES, 8 * State.TABLE_WIDTH


@njit(int64(int64, int64), **INNER)
def slot_of(state, token):
    """page * page_tokens + slot of a token."""
    page_tokens = i64_at(state + PAGE_TOKENS)
    position = i32_at(i64_at(state + POSITIONS) + 4 * token)
    sequence = i32_at(i64_at(state + SEQ_OF) + 4 * token)
    entry = sequence * i64_at(state + TABLE_WIDTH) + position // page_tokens
    page = i32_at(i64_at(state + TABLES) + 4 * entry)
    return page * page_tokens + position % page_tokens


@njit(int64(int64, int64, int64, int64, int64, int64), **INNER)
def write(cache, place, stride, x, width, half):
    """`width` numbers from x to the cache, `stride` numbers apart."""
    for i in range(width):
        number = f32_at(x + 4 * i)
        if half:
            set_f16(cache + 2 * (place + stride * i), number)
        else:
            set_f32(cache + 4 * (place + stride * i), number)
    return 0


@cfunc(OP, **OPTIONS)
def op_append_keys(row, tid, threads, state):
    """row: keys, x, kv heads, width, half (1: float16)."""
    keys, x, heads, width = i64_at(row + 8), i64_at(row + 16), i64_at(row + 24), i64_at(row + 32)
    rows, tiles = i64_at(state + TOKENS) * heads, i64_at(state + PAGE_TOKENS) // 16
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        slot = slot_of(state, r // heads)
        tile = (slot // 16 // tiles * heads + r % heads) * tiles + slot // 16 % tiles
        place = 16 * width * tile + slot % 16
        write(keys, place, 16, x + 4 * width * r, width, i64_at(row + 40))
    return 0


@cfunc(OP, **OPTIONS)
def op_append_values(row, tid, threads, state):
    """row: values, x, kv heads, width, half (1: float16), padded width."""
    values, x, heads, width = i64_at(row + 8), i64_at(row + 16), i64_at(row + 24), i64_at(row + 32)
    padded, page_tokens = i64_at(row + 48), i64_at(state + PAGE_TOKENS)
    rows = i64_at(state + TOKENS) * heads
    for r in range(rows * tid // threads, rows * (tid + 1) // threads):
        slot = slot_of(state, r // heads)
        page = slot // page_tokens * heads + r % heads
        place = padded * (page * page_tokens + slot % page_tokens)
        write(values, place, 1, x + 4 * width * r, width, i64_at(row + 40))
    return 0
