"""Products of two unpacked groups with many tokens, by what a format's scales look like."""

from inferflow_backends.cpu.layouts import Layout
from inferflow_backends.cpu.linear_tile import panel_product

whole = panel_product(Layout(8, offset=1))
whole_least = panel_product(Layout(8, minimum=True))
halves = panel_product(Layout(8, offset=1, columns=16))
halves_least = panel_product(Layout(8, minimum=True, columns=16))


def of_32(
    panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y, room
):  # fmt: skip
    """A scale for 32 columns."""
    return whole(
        panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y
    )  # fmt: skip


def of_32_least(
    panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y, room
):  # fmt: skip
    """A scale and a minimum for 32 columns."""
    return whole_least(
        panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y
    )  # fmt: skip


def of_16(
    panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y, room
):  # fmt: skip
    """A scale for 16 columns."""
    return halves(
        panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y
    )  # fmt: skip


def of_16_least(
    panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y, room
):  # fmt: skip
    """A scale and a minimum for 16 columns."""
    return halves_least(
        panel, factors, least, stride, blocks, first, count, rows, x, stats, offset, y
    )  # fmt: skip
