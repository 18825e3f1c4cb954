"""Embedding rows."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.kernels import rows as kernels
from inferflow_backends.cpu.layouts import DENSE
from inferflow_backends.cpu.lower import Lowering
from inferflow_core.graph import Node, ParamRef, Value

KINDS = {"f32": 0, "f16": 1, "bf16": 2}


def rows(low: Lowering, node: Node) -> bool:
    weight, ids = node.inputs
    out = node.outputs[0]
    size = low.size_word(out)
    if not (isinstance(weight, ParamRef) and isinstance(ids, Value)) or size is None:
        return False
    packed = low.memory.packed(weight.path)
    a, c = low.input(ids), low.output(out)
    if packed.format in DENSE:
        words = [*size, address(packed.codes), a, KINDS[packed.format], c]
        low.row(kernels.op_rows_dense, words, [a], [c])
        return True
    sizes = packed.layout.group_bytes(packed.shape[1])
    form = low.memory.forms.address(packed.format)
    words = [*size, address(packed.codes), address(packed.scales), *sizes, a, form, c]
    low.row(kernels.op_rows_packed, words, [a], [c])
    return True
