"""Micro-kernels of attention for each format of the cache (`attention_tile`). Plain functions:
`compiled` makes kernels of those that a program needs."""

from inferflow_backends.cpu.attention_tile import (
    load_bf16,
    load_f16,
    load_f32,
    load_int8,
    scores_of_rows,
    scores_of_tiles,
    values_of_rows,
    widen,
)

_tiles_f32 = scores_of_tiles(load_f32, 4)
_rows_f32 = scores_of_rows(load_f32, 4)
_values_f32 = values_of_rows(load_f32, 4)
_tiles_f16 = scores_of_tiles(load_f16, 2)
_rows_f16 = scores_of_rows(load_f16, 2)
_values_f16 = values_of_rows(load_f16, 2)
_wide_f16 = widen(load_f16, 2)
_tiles_bf16 = scores_of_tiles(load_bf16, 2)
_rows_bf16 = scores_of_rows(load_bf16, 2)
_values_bf16 = values_of_rows(load_bf16, 2)
_wide_bf16 = widen(load_bf16, 2)
_tiles_int8 = scores_of_tiles(load_int8, 1)
_rows_int8 = scores_of_rows(load_int8, 1)
_values_int8 = values_of_rows(load_int8, 1)
_wide_int8 = widen(load_int8, 1)


def tiles_f32(rows, q, q_bytes, tiles, count, channels, s):
    return _tiles_f32(rows, q, q_bytes, tiles, count, channels, s)


def rows_f32(rows, q, q_bytes, tiles, count, channels, s):
    return _rows_f32(rows, q, q_bytes, tiles, count, channels, s)


def values_f32(rows, p, tiles, first, last, channels, o):
    return _values_f32(rows, p, tiles, first, last, channels, o)


def tiles_f16(rows, q, q_bytes, tiles, count, channels, s):
    return _tiles_f16(rows, q, q_bytes, tiles, count, channels, s)


def rows_f16(rows, q, q_bytes, tiles, count, channels, s):
    return _rows_f16(rows, q, q_bytes, tiles, count, channels, s)


def values_f16(rows, p, tiles, first, last, channels, o):
    return _values_f16(rows, p, tiles, first, last, channels, o)


def wide_f16(start, to, count, a, b, c, d):
    return _wide_f16(start, to, count, a, b, c, d)


def tiles_bf16(rows, q, q_bytes, tiles, count, channels, s):
    return _tiles_bf16(rows, q, q_bytes, tiles, count, channels, s)


def rows_bf16(rows, q, q_bytes, tiles, count, channels, s):
    return _rows_bf16(rows, q, q_bytes, tiles, count, channels, s)


def values_bf16(rows, p, tiles, first, last, channels, o):
    return _values_bf16(rows, p, tiles, first, last, channels, o)


def wide_bf16(start, to, count, a, b, c, d):
    return _wide_bf16(start, to, count, a, b, c, d)


def tiles_int8(rows, q, q_bytes, tiles, count, channels, s):
    return _tiles_int8(rows, q, q_bytes, tiles, count, channels, s)


def rows_int8(rows, q, q_bytes, tiles, count, channels, s):
    return _rows_int8(rows, q, q_bytes, tiles, count, channels, s)


def values_int8(rows, p, tiles, first, last, channels, o):
    return _values_int8(rows, p, tiles, first, last, channels, o)


def wide_int8(start, to, count, a, b, c, d):
    return _wide_int8(start, to, count, a, b, c, d)
