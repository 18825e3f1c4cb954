"""A second backend, as small as the contract allows: the required ops alone, in float64, node by
node, nothing shared with the numpy backend. It shows what a backend author must write."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from inferflow_core.catalog import Catalog
from inferflow_core.graph import Function, Graph, Node, Value, flatten
from inferflow_core.interfaces import Sizes, Step, Weight
from inferflow_core.ops import PRIMITIVES
from inferflow_core.optable import OpTable
from inferflow_core.passes.decompose import decompose


class TinyBackend:
    """Primitives in float64."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "tiny"

    def __init__(self, catalog: Catalog) -> None:
        self._table = OpTable(catalog)

    def available(self) -> str:
        return ""

    def native(self) -> frozenset[str]:
        return PRIMITIVES

    def compile(self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes) -> TinyProgram:
        return TinyProgram(decompose(graph, self._table, PRIMITIVES), weights, sizes)


class TinyProgram:
    def __init__(self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes) -> None:
        self.graph = graph
        self.weights = {path: w.values().astype(np.float64) for path, w in weights.items()}
        self.states: dict[str, dict[tuple[int, int], Any]] = {path: {} for path in graph.states}
        self.page_tokens = sizes.page_tokens

    def submit(self, step: Step, outputs: Sequence[str] = ("logits",)) -> Any:
        values = {
            v.id: np.zeros_like(step.ids) if getattr(step, n) is None else getattr(step, n)
            for n, v in self.graph.inputs.items()
        }
        for node in flatten(self.graph, step.entry):
            self.run(node, values)
        named = self.graph.entries[step.entry].outputs
        results = {name: values[named[name].id].astype(np.float32) for name in outputs}
        return SimpleNamespace(result=lambda: results)

    def copy_page(self, source: int, target: int) -> None:
        for rows in self.states.values():
            rows |= {(target, slot): row for (page, slot), row in rows.items() if page == source}

    def close(self) -> None:
        self.states.clear()

    def run(self, node: Node, values: dict[int, Any]) -> None:
        def operand(item: Any) -> Any:
            if isinstance(item, Value):
                return values[item.id]
            return None if item is None else {**self.weights, **self.states}[item.path]

        inputs = [operand(item) for item in node.inputs]
        result = getattr(self, f"op_{node.op}")(*inputs, **node.attrs)
        results = result if isinstance(result, tuple) else (result,)
        values |= {v.id: r for v, r in zip(node.outputs, results, strict=bool(node.outputs))}

    op_add, op_sub, op_mul, op_div = np.add, np.subtract, np.multiply, np.divide
    op_maximum, op_minimum, op_less = np.maximum, np.minimum, np.less
    op_where = staticmethod(np.where)
    op_exp, op_log, op_sqrt, op_tanh, op_sin, op_cos = (
        *(np.exp, np.log, np.sqrt, np.tanh, np.sin, np.cos),
    )
    op_erf = staticmethod(np.vectorize(math.erf))

    def op_sum(self, x: Any) -> Any:
        return x.sum(-1, keepdims=True)

    def op_max(self, x: Any) -> Any:
        return x.max(-1, keepdims=True)

    def op_to_float(self, x: Any) -> Any:
        return x.astype(np.float64)

    def op_to_int(self, x: Any) -> Any:
        return np.trunc(x).astype(np.int32)

    def op_slice(self, x: Any, *, start: int, stop: int) -> Any:
        return x[..., start:stop]

    def op_concat(self, *parts: Any) -> Any:
        return np.concatenate(parts, -1)

    def op_split_axis(self, x: Any, *, axes: Any) -> Any:
        return x.reshape([*x.shape[:-1], *(axis.size for axis in axes)])

    def op_merge_axes(self, x: Any, *, count: int) -> Any:
        return x.reshape((*x.shape[:-count], -1))

    def op_expand(self, x: Any, *, at: int) -> Any:
        return np.expand_dims(x, at)

    def op_select(self, x: Any, rows: Any) -> Any:
        return np.stack([x[row] for row in rows])

    def op_gather(self, x: Any, index: Any) -> Any:
        lead = np.broadcast_shapes(x.shape[:-1], index.shape[:-1])
        x, index = (np.broadcast_to(a, (*lead, a.shape[-1])) for a in (x, index))
        rows = zip(x.reshape(-1, x.shape[-1]), index.reshape(-1, index.shape[-1]), strict=True)
        return np.stack([row[i] for row, i in rows]).reshape(index.shape)

    def op_top_k(self, x: Any, *, k: int) -> Any:
        rows = x.reshape(-1, x.shape[-1])
        best = [sorted(range(len(row)), key=lambda i, row=row: (-row[i], i))[:k] for row in rows]
        index = np.array(best).reshape(*x.shape[:-1], k)
        return self.op_gather(x, index), index

    def op_constant(self, *, numbers: Any, axes: Any) -> Any:
        return np.array(numbers).reshape([axis.size for axis in axes])

    def op_value(self, w: Any) -> Any:
        return w

    def op_linear(self, x: Any, w: Any, bias: Any) -> Any:
        y = np.einsum("...i,oi->...o", x, w)
        return y if bias is None else y + bias

    def op_expert_linear(self, x: Any, w: Any, index: Any, bias: Any) -> Any:
        x = x if x.ndim == 3 else np.stack([x] * index.shape[1], 1)
        y = np.einsum("tki,tkoi->tko", x, w[index])
        return y if bias is None else y + bias[index]

    def op_combine(self, x: Any, weight: Any) -> Any:
        return np.einsum("tkn,tk->tn", x, weight)

    def op_head_linear(self, x: Any, w: Any, *, start: int, stop: int, transpose: bool) -> Any:
        heads = w.reshape(x.shape[1], -1, w.shape[1])[:, start:stop]
        return np.einsum("thi,hio->tho" if transpose else "thi,hoi->tho", x, heads)

    def op_pool(self, x: Any, offsets: Any, *, how: str) -> Any:
        parts = [x[a:b] for a, b in itertools.pairwise(offsets)]
        rows = {"first": lambda p: p[0], "last": lambda p: p[-1], "mean": lambda p: p.mean(0)}
        return np.stack([rows[how](part) for part in parts])

    def op_rows(self, w: Any, ids: Any) -> Any:
        return w[ids]

    def op_append(self, state: Any, x: Any, positions: Any, seq_of: Any, tables: Any) -> None:
        for row, position, s in zip(x, positions, seq_of, strict=True):
            page, slot = divmod(int(position), self.page_tokens)
            state[int(tables[s, page]), slot] = row

    def op_attention(
        self, q: Any, keys: Any, values: Any, positions: Any, offsets: Any, lengths: Any,
        tables: Any, sinks: Any, *, scale: float, causal: bool, window: int | None,
        softcap: float | None, bias: Function | None,
    ) -> Any:  # fmt: skip
        out = []
        for s, length in enumerate(lengths):
            for i in range(offsets[s], offsets[s + 1]):
                here = int(positions[i])
                seen = [p for p in range(length) if self.sees(here, p, causal, window)]
                places = [
                    (int(tables[s, p // self.page_tokens]), p % self.page_tokens) for p in seen
                ]
                k = np.stack([keys[place] for place in places])
                v = np.stack([values[place] for place in places])
                group = q.shape[1] // k.shape[1]
                k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
                scores = np.einsum("hd,phd->hp", q[i], k) * scale
                if softcap is not None:
                    scores = softcap * np.tanh(scores / softcap)
                if bias is not None:
                    scores = scores + self.bias(bias, len(scores), here, seen)
                if sinks is not None:
                    scores = np.concatenate([scores, sinks[:, None]], 1)
                e = np.exp(scores - scores.max(1, keepdims=True))
                weights = (e / e.sum(1, keepdims=True))[:, : len(seen)]
                out.append(np.einsum("hp,phd->hd", weights, v))
        return np.stack(out)

    def sees(self, here: int, there: int, causal: bool, window: int | None) -> bool:
        if causal:
            return there <= here and (window is None or here - there < window)
        return window is None or abs(here - there) <= window // 2

    def bias(self, rule: Function, heads: int, here: int, seen: list[int]) -> Any:
        columns = (np.arange(heads)[:, None], np.array([[here]]), np.array([seen]))
        values = {a.id: c for a, c in zip(rule.arguments, columns, strict=True)}
        for node in rule.nodes:
            self.run(node, values)
        return values[rule.results[0].id]
