"""Packed formats for the tape: addresses of kernels, compiled when a model has the format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_backends.cpu import amx
from inferflow_backends.cpu.buffers import address, placed
from inferflow_backends.cpu.layouts import LAYOUTS, SUPER
from inferflow_backends.cpu.pack import format_kernels
from inferflow_backends.cpu.tape import Form

FEW_BEFORE_TILES, FEW_BEFORE_PANELS = 8, 16
"""Tokens above which unpacking pays, with AMX and without (measured)."""
FEW_SMALL = 6
"""Likewise with AMX, for codes of less than 8 bits."""


def summed_tokens(*, always: bool) -> int:
    """Rows of x up to which the sums of its codes are needed: tiles multiply signed codes."""
    return FEW_BEFORE_TILES if amx.usable() and not always else 1 << 32


@dataclass
class Forms:
    """`tape.Form` by format; owns what the addresses point at."""

    made: dict[str, npt.NDArray[Any]] = field(default_factory=dict[str, npt.NDArray[Any]])
    _configs: list[npt.NDArray[Any]] = field(default_factory=list[npt.NDArray[Any]])

    def address(self, format: str) -> int:
        """Of the format's numbers, one int64 each."""
        if format not in self.made:
            self.made[format] = self._make(format)
        return address(self.made[format])

    def _make(self, format: str) -> npt.NDArray[Any]:
        from inferflow_backends.cpu.kernels import products
        from inferflow_backends.cpu.kernels.options import compiled

        layout, kernels = LAYOUTS[format], format_kernels(format)
        words = {
            Form.FEW: compiled(kernels.few).address,
            Form.UNPACK: compiled(kernels.unpack).address,
            Form.FLOATS: compiled(kernels.floats).address,
            Form.OFFSET: layout.offset,
            Form.LIMIT: FEW_BEFORE_PANELS,
            Form.PARTS: layout.parts,
            Form.CODES: layout.code_bytes,
            Form.SCALES: layout.record * SUPER // layout.unit,
        }
        name = f"of_{layout.columns}{'_least' if layout.minimum else ''}"
        many: Any = products
        if amx.usable():
            from inferflow_backends.cpu.amx_tile import tile_config
            from inferflow_backends.cpu.kernels import amx as many

            config = placed(np.frombuffer(tile_config(layout.columns), np.uint8))
            self._configs.append(config)
            words |= {
                Form.OPEN: compiled(many.open_unit).address,
                Form.CLOSE: compiled(many.close_unit).address,
                Form.CONFIG: address(config),
                Form.SHIFT: layout.offset * 0x01010101,
                Form.LIMIT: FEW_BEFORE_TILES if layout.bits == 8 else FEW_SMALL,
            }
        words[Form.MANY] = compiled(getattr(many, name)).address
        return placed(np.array([words.get(word, 0) for word in Form], np.int64))
