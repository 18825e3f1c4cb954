"""How each op becomes tape rows. A lowering returns False where its kernel cannot serve the node:
then the op's numpy reference runs instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.memory import padded
from inferflow_backends.cpu.tape import State, float_word
from inferflow_core.catalog import Catalog
from inferflow_core.graph import Node, ParamRef, StateRef, Value


class Lowerings:
    """The kernels by op; imported (and compiled or read from the cache) when it is made.

    A third party's kernel is an entry `OP@cpu` of `inferflow.kernels`: a function like those below,
    `(Lowering, Node) -> bool`, that adds rows with a `cfunc` of its own.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        from inferflow_backends.cpu.kernel_cache import kernels_cached_here

        with kernels_cached_here():
            from inferflow_backends.cpu.kernels import (
                activation,
                append,
                attention,
                elementwise,
                forms,
                linear,
                norm,
                quantize,
                rope,
                rows,
            )
        self._attention, self._elementwise, self._quantize = attention, elementwise, quantize
        self._norm, self._rope, self._activation = norm, rope, activation
        self._append_ops, self._linear, self._rows, self._forms = append, linear, rows, forms.FORMS
        self._products = {linear.op_linear_f32.address, linear.op_linear_packed.address}
        """Rows of these end with the words bias, residual and y."""
        self._by_op: dict[str, Callable[[Lowering, Node], bool]] = {
            "add": self._add,
            "mul": self._mul,
            "glu": self._glu,
            "select": self._select,
            "split_axis": self._view,
            "merge_axes": self._view,
            "expand": self._view,
            "activation": self._activate,
            "rms_norm": self._rms_norm,
            "layer_norm": self._layer_norm,
            "rope": self._turn,
            "linear": self._project,
            "rows": self._embed,
            "append": self._append,
            "attention": self._attend,
        }

    def lower(self, low: Lowering, node: Node) -> bool:
        """Adds the node's rows; False where no kernel serves it."""
        lowering = self._by_op.get(node.op)
        if lowering is None and f"{node.op}@cpu" in self._catalog.names("kernel"):
            lowering = self._catalog.get("kernel", f"{node.op}@cpu")
        return lowering is not None and lowering(low, node)

    def _binary(self, low: Lowering, node: Node, op: Any) -> bool:
        """x op y of equal shapes."""
        x, y = node.inputs
        out = node.outputs[0]
        if not (isinstance(x, Value) and isinstance(y, Value)):
            return False
        shapes = {tuple(axis.size for axis in value.axes) for value in (x, y, out)}
        size = low.size_word(out)
        if len(shapes) > 1 or size is None or {x.dtype, y.dtype} != {"float"}:
            return False
        a, b, c = low.input(x), low.input(y), low.output(out)
        whole = size[1] % 32 == 0
        split = (size[0], size[1] // 32, 32) if whole else None
        low.row(op, [*size, a, b, c], [a, b], [c], split=split)
        return True

    def _add(self, low: Lowering, node: Node) -> bool:
        """Behind a linear the sum is made there."""
        x, y = node.inputs
        if low.last_op in self._products and isinstance(x, Value) and isinstance(y, Value):
            same = [axis.size for axis in x.axes] == [axis.size for axis in y.axes]
            for product, residual in ((y, x), (x, y)):
                if same and low.add_residual(product, residual, node.outputs[0]):
                    return True
        return self._binary(low, node, self._elementwise.op_add)

    def _mul(self, low: Lowering, node: Node) -> bool:
        return self._binary(low, node, self._elementwise.op_mul)

    def _glu(self, low: Lowering, node: Node) -> bool:
        if node.attrs["act"] != "silu" or node.attrs["limit"] or node.attrs["up_offset"]:
            return False
        return self._binary(low, node, self._elementwise.op_silu_glu)

    def _select(self, low: Lowering, node: Node) -> bool:
        x, index = node.inputs
        out, column = node.outputs[0], low.column(index)
        size = low.size_word(out)
        if not isinstance(x, Value) or column is None or size is None or x.dtype != "float":
            return False
        a, c = low.input(x), low.output(out)
        low.row(self._elementwise.op_select, [*size, a, column, c], [a], [c])
        return True

    def _view(self, low: Lowering, node: Node) -> bool:
        x = node.inputs[0]
        if not isinstance(x, Value) or low.column(x) is not None:
            return False
        low.alias(node.outputs[0], x)
        return True

    def _rms_norm(self, low: Lowering, node: Node) -> bool:
        x, weight = node.inputs
        out = node.outputs[0]
        size = low.size_word(out)
        if not isinstance(x, Value) or size is None:
            return False
        width = x.axes[-1].length
        scale = 0
        if isinstance(weight, ParamRef):
            numbers = low.memory.plain(weight.path)
            if numbers.ndim != 1:
                return False
            scale = address(numbers)
        a, c = low.input(x), low.output(out)
        eps, offset = float_word(node.attrs["eps"]), int(node.attrs["unit_offset"])
        words = [size[0], size[1] // width, width, a, scale, eps, offset, c]
        split = (size[0], size[1] // width, width)
        low.row(self._norm.op_rms_norm, words, [a], [c], split=split)
        return True

    def _layer_norm(self, low: Lowering, node: Node) -> bool:
        x, weight, bias = node.inputs
        size = low.size_word(node.outputs[0])
        if not isinstance(x, Value) or size is None:
            return False
        params = [low.memory.plain(p.path) for p in (weight, bias) if isinstance(p, ParamRef)]
        if any(numbers.ndim != 1 for numbers in params):
            return False
        width = x.axes[-1].length
        scale, shift = (
            address(low.memory.plain(p.path)) if isinstance(p, ParamRef) else 0
            for p in (weight, bias)
        )
        a, c = low.input(x), low.output(node.outputs[0])
        eps, offset = float_word(node.attrs["eps"]), int(node.attrs["unit_offset"])
        words = [size[0], size[1] // width, width, a, scale, shift, eps, offset, c]
        split = (size[0], size[1] // width, width)
        low.row(self._norm.op_layer_norm, words, [a], [c], split=split)
        return True

    def _activate(self, low: Lowering, node: Node) -> bool:
        (x,), out = node.inputs, node.outputs[0]
        size = low.size_word(out)
        if not isinstance(x, Value) or size is None:
            return False
        a, c = low.input(x), low.output(out)
        code = self._activation.CODES[node.attrs["act"]]
        split = (size[0], size[1] // 32, 32) if size[1] % 32 == 0 else None
        words = [*size, a, code, c]
        low.row(self._activation.op_activation, words, [a], [c], split=split)
        return True

    def _turn(self, low: Lowering, node: Node) -> bool:
        x, positions = node.inputs
        out, column = node.outputs[0], low.column(positions)
        size = low.size_word(out)
        if not isinstance(x, Value) or column is None or size is None:
            return False
        frequencies = node.attrs["frequencies"]
        cosines, sines = low.memory.rotations(frequencies, node.attrs["scale"])
        heads, width = x.axes[1].length, x.axes[2].length
        a, c = low.input(x), low.output(out)
        words = [size[0], heads, width, len(frequencies), int(node.attrs["interleaved"])]
        words += [address(cosines), address(sines), a, c]
        low.row(self._rope.op_rope, words, [a], [c], split=(size[0], heads, width))
        return True

    def _project(self, low: Lowering, node: Node) -> bool:
        x, weight, bias = node.inputs
        out = node.outputs[0]
        size = low.size_word(out)
        if not (isinstance(x, Value) and isinstance(weight, ParamRef)) or size is None:
            return False
        packed = low.memory.packed(weight.path)
        n, k = packed.shape
        added = address(low.memory.plain(bias.path)) if isinstance(bias, ParamRef) else 0
        rows = size[1] // n
        if packed.format == "f32":
            a, c = low.input(x), low.output(out)
            words = [size[0], rows, address(packed.codes), k, n, a, added, 0, c]
            low.row(self._linear.op_linear_f32, words, [a], [c])
            return True
        form = self._quantized(low, x, size[0], rows, k)
        sums = form[{"q4_0": 3, "q8_0": 4, "q4_1": 5}[packed.format]]
        c = low.output(out)
        words = [size[0], rows, address(packed.codes), address(packed.scales), k, n]
        words += [self._forms[packed.format], *form[:3], sums, added, 0, c]
        low.row(self._linear.op_linear_packed, words, form, [c])
        return True

    def _quantized(self, low: Lowering, x: Value, word: int, rows: int, k: int) -> list[int]:
        """Addresses of the packed form of x: high, low, factors, sums by -8, -128 and d."""
        count = low.capacity(x)
        buffers, new = low.quantized(x, [count] * 2 + [count // 8] * 4)
        form = [address(buffer) for buffer in buffers]
        if new:
            a = low.input(x)
            split = low.split_of(a)
            if split is None or split[0] != word or split[2] % 32:
                split = (word, rows * k // 32, 32)
            low.row(self._quantize.op_quantize, [*split, a, *form], [a], form, split=split)
        return form

    def _embed(self, low: Lowering, node: Node) -> bool:
        weight, ids = node.inputs
        out, column = node.outputs[0], low.column(ids)
        size = low.size_word(out)
        if not isinstance(weight, ParamRef) or column is None or size is None:
            return False
        packed = low.memory.packed(weight.path)
        c = low.output(out)
        words = [*size, address(packed.codes), address(packed.scales), column, c]
        plain = packed.format == "f32"
        op = self._rows.op_rows_f32 if plain else self._rows.op_rows_packed
        low.row(op, words if plain else [*words, self._forms[packed.format]], [], [c])
        return True

    def _append(self, low: Lowering, node: Node) -> bool:
        state, x = node.inputs[:2]
        if not (isinstance(state, StateRef) and isinstance(x, Value)):
            return False
        cache = low.memory.caches[state.path]
        a, c = low.input(x), address(cache)
        heads, width = x.axes[1].length, x.axes[2].length
        if cache.ndim == 5:
            words = [c, a, heads, width, low.memory.half]
            split = (int(State.TOKENS), heads, width)
            low.row(self._append_ops.op_append_keys, words, [a], [c], split=split)
        else:
            words = [c, a, heads, width, low.memory.half, padded(width)]
            low.row(self._append_ops.op_append_values, words, [a], [c])
        return True

    def _attend(self, low: Lowering, node: Node) -> bool:
        q, keys, values = node.inputs[:3]
        sinks = node.inputs[-1]
        out = node.outputs[0]
        if not (isinstance(q, Value) and isinstance(keys, StateRef)):
            return False
        if not isinstance(values, StateRef):
            return False
        k, v = low.memory.keys(keys.path), low.memory.values(values.path)
        a, c = low.input(q), low.output(out)
        heads, width = q.axes[1].length, q.axes[2].length
        v_width = out.axes[2].length
        attrs = node.attrs
        words = [a, address(k), address(v), c, heads, k.shape[1], width, v_width, v.shape[3]]
        words += [float_word(attrs["scale"]), attrs["window"] or 0]
        words += [float_word(attrs["softcap"] or 0.0)]
        words += [address(low.memory.plain(sinks.path)) if isinstance(sinks, ParamRef) else 0]
        kernels = self._attention
        room = low.memory.parts(heads, v.shape[3])
        words += [low.memory.half, address(room)]
        low.row(kernels.op_attention, words, [a, address(k), address(v)], [c, address(room)])
        low.row(kernels.op_merge, words, [address(room)], [c])
        return True


def native_states(nodes: list[Node]) -> tuple[set[str], set[str]]:
    """Paths of the states that the attention kernel can read as (keys, values).

    A state that serves as both, or an attention that the kernel has no form for, keeps the plain
    layout and numpy's attention.
    """
    keys: set[str] = set()
    values: set[str] = set()
    plain: set[str] = set()
    for node in nodes:
        if node.op != "attention":
            continue
        k, v = (str(item) for item in node.inputs[1:3])
        q = node.inputs[0]
        fits = node.attrs["causal"] and node.attrs["bias"] is None
        if not fits or not isinstance(q, Value) or q.axes[2].length % 2:
            plain |= {k, v}
        keys.add(k)
        values.add(v)
    while True:
        pairs = [
            {str(node.inputs[1]), str(node.inputs[2])} for node in nodes if node.op == "attention"
        ]
        mixed = plain | (keys & values)
        grown = mixed.union(*(pair for pair in pairs if pair & mixed))
        if grown == plain:
            return keys - plain, values - plain
        plain = grown
