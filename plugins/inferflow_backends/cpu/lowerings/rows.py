"""Embedding rows."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.kernels import rows as kernels
from inferflow_backends.cpu.kernels.forms import FORMS
from inferflow_backends.cpu.lower import Lowering
from inferflow_core.graph import Node, ParamRef


def rows(low: Lowering, node: Node) -> bool:
    weight, ids = node.inputs
    out, column = node.outputs[0], low.column(ids)
    size = low.size_word(out)
    if not isinstance(weight, ParamRef) or column is None or size is None:
        return False
    packed = low.memory.packed(weight.path)
    c = low.output(out)
    words = [*size, address(packed.codes), address(packed.scales), column, c]
    plain = packed.format == "f32"
    op = kernels.op_rows_f32 if plain else kernels.op_rows_packed
    low.row(op, words if plain else [*words, FORMS[packed.format]], [], [c])
    return True
