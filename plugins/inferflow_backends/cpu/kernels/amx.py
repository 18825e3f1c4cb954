"""The same products on AMX; imported only where it may be used (`amx.usable`)."""

from inferflow_backends.cpu.amx_tile import amx_product, close_tiles, open_tiles
from inferflow_backends.cpu.layouts import Layout

whole = amx_product(Layout(8))
whole_least = amx_product(Layout(8, minimum=True))
halves = amx_product(Layout(8, columns=16))
halves_least = amx_product(Layout(8, minimum=True, columns=16))


def open_unit(config):
    """Before the first product of a thread's share of an op."""
    open_tiles(config)
    return 0


def close_unit(config):
    """Behind the last: idle tiles cost the processor frequency and the system time."""
    close_tiles()
    return 0


def of_32(
    panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y, room
):  # fmt: skip
    """A scale for 32 columns."""
    return whole(
        panel, factors, least, stride, blocks, first, count, rows, x, stats, y, room
    )  # fmt: skip


def of_32_least(
    panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y, room
):  # fmt: skip
    """A scale and a minimum for 32 columns."""
    return whole_least(
        panel, factors, least, stride, blocks, first, count, rows, x, stats, y, room
    )  # fmt: skip


def of_16(
    panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y, room
):  # fmt: skip
    """A scale for 16 columns."""
    return halves(
        panel, factors, least, stride, blocks, first, count, rows, x, stats, y, room
    )  # fmt: skip


def of_16_least(
    panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y, room
):  # fmt: skip
    """A scale and a minimum for 16 columns."""
    return halves_least(
        panel, factors, least, stride, blocks, first, count, rows, x, stats, y, room
    )  # fmt: skip
