"""Rows of numbers or of GGUF's blocks -> groups of 16 rows, as `layouts` describes them."""

from numba import int64, njit

from inferflow_backends.cpu.kernels.options import INNER
from inferflow_backends.cpu.simd import (
    call_address,
    i64_at,
    set_i32,
    set_u16,
    turn_floats,
    turn_halves,
    u16_at,
    u32_at,
)


@njit(int64(int64, int64, int64, int64), **INNER)
def place_row(block, bits, r, quads):
    """32 codes of row r, cut into planes; the block is zero there."""
    for quad in range(8):
        four, plane, shift = u32_at(quads + 4 * quad), block + 4 * r, 0
        if bits == 8:
            set_i32(plane + 64 * quad, four)
        else:
            if bits & 4:
                home = plane + 64 * (quad // 2)
                part = (four & 0x0F0F0F0F) << (4 * (quad % 2))
                set_i32(home, u32_at(home) | part)
                plane, shift = plane + 256, 4
            if bits & 2:
                home = plane + 64 * (quad // 4)
                part = ((four >> shift) & 0x03030303) << (2 * (quad % 4))
                set_i32(home, u32_at(home) | part)
                plane, shift = plane + 128, shift + 2
            if bits & 1:
                part = ((four >> shift) & 0x01010101) << quad
                set_i32(plane, u32_at(plane) | part)
    return 0


def pack_groups(plan, first, last, room):
    """The groups first..last. `plan` is int64: source, the format's `decode`, bytes of its unit,
    rows, units a row, blocks a unit, bits, bytes of a record, codes, scales. `room` has 256 bytes.
    """
    source, decode, unit_bytes = i64_at(plan), i64_at(plan + 8), i64_at(plan + 16)
    rows, units, blocks = i64_at(plan + 24), i64_at(plan + 32), i64_at(plan + 40)
    bits, record = i64_at(plan + 48), i64_at(plan + 56)
    codes, scales = i64_at(plan + 64), i64_at(plan + 72)
    for group in range(first, last):
        for r in range(min(16, rows - 16 * group)):
            for unit in range(units):
                home = source + unit_bytes * (units * (16 * group + r) + unit)
                place = units * group + unit
                call_address(decode, home, r, scales + record * place, room)
                for block in range(blocks):
                    target = codes + 64 * bits * (blocks * place + block)
                    place_row(target, bits, r, room + 32 * block)
    return 0


def pack_dense_groups(plan, first, last, room):
    """The groups first..last. `plan` is int64: source, bytes of a number (2 or 4), rows, columns,
    target; `room` is not used."""
    source, width, rows = i64_at(plan), i64_at(plan + 8), i64_at(plan + 16)
    columns, target = i64_at(plan + 24), i64_at(plan + 32)
    stride = width * columns
    for group in range(first, last):
        home, here = target + 16 * stride * group, source + 16 * stride * group
        some = min(16, rows - 16 * group)
        whole = columns // 16 * 16 if some == 16 else 0
        for column in range(0, whole, 16):
            if width == 2:
                turn_halves(here + 2 * column, stride, home + 32 * column)
            else:
                turn_floats(here + 4 * column, stride, home + 64 * column)
        for column in range(whole, columns):
            for r in range(some):
                one, to = here + stride * r + width * column, home + width * (16 * column + r)
                if width == 2:
                    set_u16(to, u16_at(one))
                else:
                    set_i32(to, u32_at(one))
    return 0
