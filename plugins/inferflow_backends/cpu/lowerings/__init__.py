"""How ops become tape rows: one file an op or a group of ops, imported when a graph has it.

A lowering is a function `(Lowering, Node) -> bool` of the op's name. It adds rows, or returns False
where its kernel cannot serve the node: then the op's numpy reference runs instead. A third party's
is an entry `OP@cpu` of `inferflow.kernels`, which adds rows with a `cfunc` of its own.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType

from inferflow_backends.cpu.lower import Lowering
from inferflow_core.catalog import Catalog
from inferflow_core.graph import Node

FILES = {
    "activation": "activation",
    "add": "elementwise",
    "append": "append",
    "attention": "attention",
    "clamp": "apply",
    "combine": "combine",
    "concat": "copies",
    "cos": "apply",
    "div": "elementwise",
    "erf": "apply",
    "exp": "apply",
    "expand": "views",
    "expert_linear": "experts",
    "gated_linear": "linear",
    "gather": "choose",
    "glu": "activation",
    "head_linear": "heads",
    "layer_norm": "norm",
    "linear": "linear",
    "linear_add": "linear",
    "log": "apply",
    "max": "reduce",
    "maximum": "elementwise",
    "mean": "reduce",
    "merge_axes": "views",
    "minimum": "elementwise",
    "mul": "elementwise",
    "pool": "combine",
    "rms_norm": "norm",
    "rope": "rope",
    "rows": "rows",
    "select": "copies",
    "sigmoid": "activation",
    "sin": "apply",
    "slice": "copies",
    "softcap": "apply",
    "softmax": "reduce",
    "split_axis": "views",
    "sqrt": "apply",
    "sub": "elementwise",
    "sum": "reduce",
    "tanh": "activation",
    "to_float": "apply",
    "to_int": "apply",
    "top_k": "choose",
}
"""Op -> the file of this folder that has its lowering."""


class Lowerings:
    """The lowerings by op. Importing one compiles its kernels, or reads them from the cache."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def lower(self, low: Lowering, node: Node) -> bool:
        """Adds the node's rows; False where no kernel serves it."""
        if node.op in FILES:
            return getattr(_module(FILES[node.op]), node.op)(low, node)
        name = f"{node.op}@cpu"
        if name in self._catalog.names("kernel"):
            return self._catalog.get("kernel", name)(low, node)
        return False


@cache
def _module(file: str) -> ModuleType:
    from inferflow_backends.cpu.kernel_cache import kernels_cached_here

    with kernels_cached_here():
        return import_module(f"{__name__}.{file}")
