"""`[run]`: how to run a model, as opposed to what it is."""

from dataclasses import dataclass
from typing import Annotated, Literal

from inferflow_core.interfaces import Sampler
from inferflow_core.spec.field_types import Named, Plugin
from inferflow_core.spec.nodes import Node, Section
from inferflow_core.spec.reader import to_node

DEFAULT_SAMPLERS = ("temperature", "top_k", "tfs", "typical", "top_p", "min_p", "fsd")


@dataclass(frozen=True, kw_only=True)
class Run:
    """The keys of `[run]`. `samplers` is the chain in order; without it the usual ones, each with
    defaults that change nothing."""

    backend: Annotated[str, Named("backend", auto=True)] = "auto"
    """What computes; auto: the best that is installed."""
    engine: Annotated[str, Named("engine")] = "continuous"
    """What schedules."""
    context: int | None = None
    """Longest sequence; absent: the model's own."""
    max_sequences: int = 16
    """How many run at once."""
    step_tokens: int = 512
    """Tokens that a step computes, of all sequences together."""
    page_tokens: int = 16
    """Of a page of the cache: a multiple of 16."""
    cache_tokens: int | None = None
    """Tokens that the cache holds; absent: what the sequences need, within memory."""
    cache: Literal["auto", "f32", "f16", "bf16", "int8"] = "auto"
    """Numbers of keys and values; a backend that has one kind only keeps that."""
    activations: Literal["auto", "int8", "float"] = "auto"
    """What packed weights are multiplied with; a backend that has one kind only keeps that."""
    threads: int | None = None
    """Of a step, at most; absent: one for each processor that the process may use."""
    skip_passes: tuple[Annotated[str, Named("pass")], ...] = ()
    """Passes that a backend leaves out: to find what is wrong, or what they are worth."""
    prefix_cache: bool = True
    """Whether the pages of a known prefix are used again."""
    max_queue: int = 256
    """Requests that may wait; more are refused."""
    samplers: tuple[Annotated[Sampler, Plugin("sampler")], ...] = ()
    """What the logits go through, in order; absent: the usual chain, where each is off."""

    def __post_init__(self) -> None:
        if self.page_tokens < 16 or self.page_tokens % 16:
            raise ValueError(f"page_tokens is {self.page_tokens}; it must be a multiple of 16")
        sizes = ("context", "max_sequences", "step_tokens", "cache_tokens", "threads", "max_queue")
        for key in sizes:
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f"{key} is {value}; it must be at least 1")
        for index, sampler in enumerate(self.samplers):
            trouble = sampler.check(vars(sampler))
            if trouble:
                raise ValueError(f"samplers.{index}: {trouble}")


def with_default_samplers(run: Node | None) -> Node:
    """`[run]` with the usual chain of samplers where none is written."""
    if not isinstance(run, Section):
        run = Section({}, "run", "default")
    if run.is_case or "samplers" in run.items:
        return run
    chain = [{"use": name} for name in DEFAULT_SAMPLERS]
    samplers = to_node(chain, "run.samplers", "default")
    return Section({**run.items, "samplers": samplers}, run.at, run.origin)
