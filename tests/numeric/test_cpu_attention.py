"""The cpu backend's attention: each kind against numpy's, in each format of the cache; and bits
that no company, chunks, threads or pages change."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Block, Mixer, Param, Scope, State, TokenState
from inferflow_core.catalog import Catalog
from inferflow_core.context import Context
from inferflow_core.graph import Graph, flatten
from inferflow_core.interfaces import Backend, Program, Sizes
from inferflow_core.ops import Ops, Tensor
from inferflow_core.optable import OpTable
from inferflow_core.testing.probe import probe
from inferflow_core.tracer import trace

pytest.importorskip("numba", reason="the cpu backend needs numba")

from inferflow_backends.cpu import CPUBackend
from inferflow_backends.cpu.cache_formats import FORMATS
from inferflow_backends.cpu.native_states import native_states
from inferflow_backends.numpy import NumpyBackend
from inferflow_blocks.alibi import Alibi
from inferflow_blocks.relative_bias import RelativeBias

VOCAB = 70
SEQUENCES = [[(11 * i + 3 * n) % VOCAB for i in range(n)] for n in (70, 1, 33, 5, 16, 2, 121)]
LONG = [[(5 * i + n) % VOCAB for i in range(n)] for n in (700, 300, 3)]
"""Several parts of 256 keys."""


@dataclass(frozen=True, kw_only=True)
class Mixed(Mixer):
    """An attention of any kind over the ids' own vectors."""

    heads: int = 6
    kv_heads: int = 2
    width: int = 16
    v_width: int = 16
    latent: bool = False
    """One state for keys and values, as wide as keys."""
    sinks: bool = False
    twice: bool = False
    """Two attentions of different windows over the same cache."""
    rule: Any = None
    options: tuple[tuple[str, Any], ...] = ()

    def score_heads(self) -> int:
        return self.heads

    def params(self, dims: Dims) -> dict[str, Param]:
        return {"sinks": Param(Axis("heads", self.heads))} if self.sinks else {}

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        if not isinstance(self.rule, RelativeBias):
            return {}
        return {"position": (self.rule, replace(dims, heads=Axis("heads", self.heads)))}

    def state(self, dims: Dims) -> dict[str, State]:
        keys = TokenState((Axis("kv", self.kv_heads), Axis("width", self.width)))
        values = TokenState((Axis("kv", self.kv_heads), Axis("v_width", self.v_width)))
        return {"keys": keys} if self.latent else {"keys": keys, "values": values}

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        at = 0

        def take(heads: int, width: int) -> Tensor:
            nonlocal at
            part = ops.slice(x, at, at + heads * width)
            at += heads * width
            return ops.split_axis(part, Axis("heads", heads), Axis("width", width))

        q = take(self.heads, self.width)
        ops.append(w.keys, take(self.kv_heads, self.width), ctx)
        if not self.latent:
            ops.append(w.values, take(self.kv_heads, self.v_width), ctx)
        options: dict[str, Any] = {"scale": self.width**-0.5, **dict(self.options)}
        if self.sinks:
            options["sinks"] = w.sinks
        if isinstance(self.rule, Alibi | RelativeBias):
            options["bias"] = self.rule.score_bias(
                ops, w.position if isinstance(self.rule, RelativeBias) else w, ctx, heads=self.heads
            )
        elif self.rule is not None:
            options["bias"] = self.rule
        values = w.keys if self.latent else w.values
        mixed = ops.attention(q, w.keys, values, ctx, **options)
        if self.twice:
            mixed = mixed + ops.attention(q, w.keys, values, ctx, **options, window=7)
        return ops.merge_axes(mixed)

    @property
    def hidden(self) -> int:
        kv = self.width if self.latent else self.width + self.v_width
        return self.heads * self.width + self.kv_heads * kv


def nearer_is_less(ops: Ops, head: Tensor, q_pos: Tensor, k_pos: Tensor) -> Tensor:
    """A third party's rule of distances."""
    apart = ops.to_float(q_pos - k_pos)
    return ops.log(ops.maximum(apart, apart * -1.0) + 1.0)


def by_place(ops: Ops, head: Tensor, q_pos: Tensor, k_pos: Tensor) -> Tensor:
    """A rule that is none of distances alone."""
    return ops.to_float(k_pos) * 0.05 + ops.to_float(head) * 0.0


def kind(**fields: Any) -> Mixed:
    own = set(Mixed.__dataclass_fields__)
    options = tuple((k, v) for k, v in fields.items() if k not in own)
    return Mixed(**{k: v for k, v in fields.items() if k in own}, options=options)


KINDS = {
    "groups": kind(),
    "every_head_its_own": kind(kv_heads=6),
    "one_for_all": kind(heads=11, kv_heads=1),
    "window": kind(window=20),
    "softcap": kind(softcap=1.5),
    "sinks": kind(sinks=True, window=9),
    "odd_widths": kind(width=13, v_width=7),
    "wide_values": kind(width=24, v_width=80),
    "latent": kind(kv_heads=1, width=72, v_width=72, latent=True),
    "twice": kind(twice=True),
    "alibi": kind(rule=Alibi()),
    "relative": kind(rule=RelativeBias(buckets=8, max_distance=20)),
    "rule_of_a_third_party": kind(rule=nearer_is_less, softcap=2.0),
    "bidirectional": kind(causal=False),
    "bidirectional_window": kind(causal=False, window=12),
    "bidirectional_relative": kind(
        causal=False, rule=RelativeBias(buckets=8, max_distance=20, bidirectional=True)
    ),
}
WHOLE = [name for name, mixer in KINDS.items() if ("causal", False) in mixer.options]
CAUSAL = [name for name in KINDS if name not in WHOLE]


class Cached:
    """A backend whose cache has a format and whose steps have so many threads."""

    name: ClassVar[str] = "cached"

    def __init__(self, backend: Backend, cache: str = "f32", threads: int = 1) -> None:
        self.backend, self.cache, self.threads = backend, cache, threads

    def available(self) -> str:
        return ""

    def native(self) -> frozenset[str]:
        return self.backend.native()

    def compile(self, graph: Graph, weights: Any, sizes: Sizes) -> Program:
        context = max(sizes.context, sizes.max_tokens)
        sizes = replace(sizes, cache=self.cache, threads=self.threads, context=context)
        return self.backend.compile(graph, weights, sizes)


def run(
    mixer: Mixed, sequences: list[list[int]], cache: str = "f32", threads: int = 1, **how: Any
) -> list[bytes]:
    backend = Cached(CPUBackend(Catalog()), cache, threads)
    model = probe(mixer, hidden=mixer.hidden, vocab=VOCAB)
    return NumpyBackend(Catalog()).prober(backend).run(model, sequences, **how)


def reference(mixer: Mixed, sequences: list[list[int]]) -> list[bytes]:
    model = probe(mixer, hidden=mixer.hidden, vocab=VOCAB)
    return NumpyBackend(Catalog()).prober().run(model, sequences)


def apart(found: list[bytes], expected: list[bytes]) -> float:
    """The largest difference over the largest number."""
    x, y = (
        np.concatenate([np.frombuffer(b, np.float32) for b in each]) for each in (found, expected)
    )
    assert np.isfinite(x).all()
    return float(np.abs(x - y).max() / np.abs(y).max())


def is_native(mixer: Mixed) -> bool:
    model = probe(mixer, hidden=mixer.hidden, vocab=VOCAB)
    graph = trace(model, model.dims(64), OpTable(Catalog()))
    return bool(native_states(list(flatten(graph, "step"))))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_a_kernel_and_agrees_with_numpy(name: str) -> None:
    assert is_native(KINDS[name])
    assert apart(run(KINDS[name], SEQUENCES), reference(KINDS[name], SEQUENCES)) < 3e-6


def test_a_rule_of_places_runs_on_numpy() -> None:
    mixer = kind(rule=by_place)
    assert not is_native(mixer)
    assert apart(run(mixer, SEQUENCES), reference(mixer, SEQUENCES)) < 3e-6


ERRORS = {"f32": 3e-6, "f16": 1e-3, "bf16": 8e-3, "int8": 1.2e-2}
"""Of values: half a step of the format, which is 2^-11, 2^-8 and 1/254 of the largest; scores have
the same error, and move weights."""


@pytest.mark.parametrize("cache", FORMATS)
@pytest.mark.parametrize("name", ["groups", "odd_widths", "latent"])
def test_formats_of_the_cache(name: str, cache: str) -> None:
    error = apart(run(KINDS[name], SEQUENCES, cache), reference(KINDS[name], SEQUENCES))
    assert error < ERRORS[cache]
    assert cache == "f32" or error > ERRORS[cache] / 100


@pytest.mark.parametrize("cache", FORMATS)
@pytest.mark.parametrize("name", ["groups", "odd_widths", "latent"])
def test_bits_in_each_format(name: str, cache: str) -> None:
    same_bits(KINDS[name], cache, SEQUENCES)


@pytest.mark.parametrize("name", [name for name in CAUSAL if name not in ("groups", "latent")])
def test_bits_of_each_kind(name: str) -> None:
    same_bits(KINDS[name], "f16", SEQUENCES)


@pytest.mark.parametrize("name", ["groups", "window", "alibi", "latent"])
def test_bits_of_several_parts(name: str) -> None:
    same_bits(KINDS[name], "int8", LONG, chunks=(1, 77))
    assert apart(run(KINDS[name], LONG), reference(KINDS[name], LONG)) < 3e-6


def same_bits(
    mixer: Mixed, cache: str, sequences: list[list[int]], chunks: tuple[int, ...] = (1, 37)
) -> None:
    together = run(mixer, sequences, cache)
    for sequence, expected in zip(sequences, together, strict=True):
        assert run(mixer, [sequence], cache) == [expected]
    for chunk in chunks:
        assert run(mixer, sequences, cache, chunk=chunk, shuffle_pages=True) == together
    for some in (sequences, sequences[:1]):
        assert run(mixer, some, cache, 2, chunk=max(chunks)) == together[: len(some)]


@pytest.mark.parametrize("name", WHOLE)
def test_bits_of_whole_sequences(name: str) -> None:
    together = run(KINDS[name], SEQUENCES, "f16")
    for sequence, expected in zip(SEQUENCES, together, strict=True):
        assert run(KINDS[name], [sequence], "f16", 2) == [expected]


def test_a_later_token_that_overflows_leaves_earlier_ones_alone() -> None:
    """Rows read only what they see: no infinite number of a later token times a weight of 0."""
    mixer = KINDS["groups"]
    model = probe(mixer, hidden=mixer.hidden, vocab=VOCAB)

    class Overflowing(Cached):
        def compile(self, graph: Graph, weights: Any, sizes: Sizes) -> Program:
            (table,) = weights.values()
            table.numbers[VOCAB - 1] = np.inf
            return super().compile(graph, weights, sizes)

    ids = [*range(40), VOCAB - 1]
    backend = Overflowing(CPUBackend(Catalog()), "f16")
    (found,) = NumpyBackend(Catalog()).prober(backend).run(model, [ids])
    (expected,) = run(mixer, [ids[:-1]], "f16")
    assert found.startswith(expected)
