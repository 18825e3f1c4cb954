"""The interfaces between the parts: what a loader, format, tokenizer, sampler, backend, engine and
source must be. Blocks have their own (`block.py`). Arrays are numpy's unless a backend says else;
this module imports no numpy, so arrays are named in types only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    from inferflow_core.graph import Graph

    Array = np.ndarray[Any, np.dtype[Any]]

# ---------------------------------------------------------------------------------------------
# Loaders and formats


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of a checkpoint: its shape (outermost first), format name and size in bytes."""

    name: str
    shape: tuple[int, ...]
    format: str
    nbytes: int


class Checkpoint(Protocol):
    """An opened model file or folder. Opening has checked every bound; reading cannot run wild.

    It may have `config_origins`, a mapping from each key of the file to the keys of `config` that
    hold its value (none where opening used it up): `inspect` lists what nobody read.
    """

    path: Path
    source: str
    """`hf`, `gguf` or `llama2c`: picks the name map, and is the `source` key of `match`."""
    config: Mapping[str, Any]
    """The checkpoint's numbers: raw keys and the normalised ones of SPECS.md part F; no nulls."""
    tensors: Mapping[str, TensorInfo]

    def read(self, name: str) -> Array:
        """The tensor's bytes as stored: uint8 [nbytes], memory-mapped where the file allows it."""
        ...

    def close(self) -> None: ...


class Loader(Protocol):
    """An entry of `inferflow.loaders`: recognises and opens one kind of model file."""

    def recognises(self, path: Path) -> bool:
        """Whether this loader is the one for a file or folder. Looks at names and magic only."""
        ...

    def open(self, path: Path) -> Checkpoint:
        """Reads the header and checks every bound. Raises ModelFileError."""
        ...


class Format(Protocol):
    """An entry of `inferflow.formats`: how a row of numbers is packed."""

    name: str
    block: int
    """Numbers per block; a row must be a multiple of it."""
    block_bytes: int

    def unpack(self, data: Array, shape: tuple[int, ...]) -> Array:
        """uint8 bytes -> float32 of `shape` (last axis packed along rows)."""
        ...

    def pack(self, values: Array) -> Array:
        """float32 -> uint8 [nbytes]. Raises NotImplementedError where the format is read only."""
        ...


class Weight(Protocol):
    """One param's numbers, bound but not yet read: a backend chooses how to take them."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def format(self) -> str:
        """The format in which `packed` gives whole rows; `f32` where values had to be computed."""
        ...

    def packed(self) -> Array:
        """uint8 [rows, bytes of a row], as stored."""
        ...

    def values(self) -> Array:
        """float32 of `shape`."""
        ...


# ---------------------------------------------------------------------------------------------
# Text


class StreamDecoder(Protocol):
    """Turns token ids into text one by one; never splits a character, never decodes twice."""

    def push(self, token: int) -> str:
        """The text that is now certain (may be empty)."""
        ...

    def flush(self) -> str:
        """What is left at the end; an incomplete character becomes U+FFFD."""
        ...


class Tokenizer(Protocol):
    """What an entry of `inferflow.tokenizers` gives: opened on the files of a model."""

    vocab_size: int
    bos: int | None
    eos: int | None
    stop_ids: frozenset[int]
    """Every id that ends a text or a turn, as the files say."""
    chat_template: str | None

    def encode(self, text: str, *, special: bool = True, parse_special: bool = False) -> list[int]:
        """`special`: adds BOS/EOS/prefix by the model's policy. `parse_special`: texts of special
        tokens inside `text` become those tokens (templates need it; user text must not have it)."""
        ...

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str: ...

    def stream(self, *, skip_special: bool = True, prompt: Sequence[int] = ()) -> StreamDecoder:
        """A decoder for the tokens that follow `prompt` (some tokenizers strip a leading space at
        the start of a text only)."""
        ...

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        **extra: Any,
    ) -> str:
        """The conversation as the model's chat template writes it, to be looked at. Raises
        TemplateError."""
        ...

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        **extra: Any,
    ) -> list[int]:
        """The ids of what `render` writes. Texts of special tokens become those tokens where the
        template wrote them, and stay text where a message did. Raises TemplateError,
        RequestError."""
        ...

    def token(self, id: int) -> str:
        """The vocabulary's own text of an id; empty where it has none."""
        ...

    def token_id(self, token: str) -> int | None: ...


class TokenizerEntry(Protocol):
    """An entry of `inferflow.tokenizers`: a class whose `open` is a class method."""

    def open(self, checkpoint: Checkpoint, options: Mapping[str, Any]) -> Tokenizer | None:
        """The tokenizer of a model, or None where its files are of another kind. `options` is the
        spec's [tokenizer] table. Raises ModelFileError, TokenizerError, SpecError."""
        ...


# ---------------------------------------------------------------------------------------------
# Samplers


@dataclass(frozen=True)
class SampleStep:
    """What a sampler may look at beside the logits; one entry a row."""

    histories: Sequence[Sequence[int]]
    """Prompt and generated ids of the row's sequence."""
    prompt_lengths: Sequence[int]


class Sampler(Protocol):
    """An entry of `inferflow.samplers`: a frozen dataclass, one stage of the chain.

    Its fields are numbers; their values in the spec are the defaults, and a request may override
    each by the field's name. All rows of a step are done at once.
    """

    api: ClassVar[int]

    def check(self, values: Mapping[str, float]) -> str:
        """Empty if these values of its fields make sense, else what is wrong and what is
        allowed. They are finite numbers."""
        ...

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        """float32 [rows, vocab] -> the same shape; -inf is "cannot be chosen". `columns` has a
        float64 [rows] array for each field. A row's result depends on that row alone. `logits`
        may be written to."""
        ...


# ---------------------------------------------------------------------------------------------
# Backends


@dataclass(frozen=True)
class Sizes:
    """How much a program must have room for."""

    pages: int
    """Pages of the cache, page 0 (padding) included."""
    page_tokens: int
    """Tokens of a page; a multiple of 16."""
    max_tokens: int
    """Tokens of one step."""
    max_sequences: int
    context: int
    """Longest sequence."""
    threads: int | None = None
    """Threads of a step; None: as many as the backend thinks best."""
    cache: str = "auto"
    """`f32` or `f16` for what a token leaves behind; `auto`: as the backend thinks best."""


@dataclass(frozen=True)
class Step:
    """One step's input: T tokens of S sequences, ragged; all arrays int32 unless said.

    The tokens of a sequence are consecutive, `offsets[s]:offsets[s+1]`; `lengths[s]` is the
    sequence's length after the step; `block_tables[s, p]` is the page of its tokens
    `p*page_tokens ...`; `out_rows` are the rows (0..T-1) whose outputs are wanted.
    """

    ids: Array  # [T]
    positions: Array  # [T]
    seq_of: Array  # [T]
    offsets: Array  # [S+1]
    lengths: Array  # [S]
    block_tables: Array  # [S, P]
    out_rows: Array  # [R]
    token_types: Array | None = None  # [T]
    entry: str = "step"


class Ticket(Protocol):
    def result(self) -> Mapping[str, Array]:
        """Waits; the named outputs, e.g. `logits` float32 [R, vocab], `hidden` [R, hidden]."""
        ...


class Program(Protocol):
    """A compiled graph with its weights and its cache."""

    def submit(self, step: Step, outputs: Sequence[str] = ("logits",)) -> Ticket: ...

    def copy_page(self, source: int, target: int) -> None:
        """Copies one page of every state, for sequences that part ways."""
        ...

    def close(self) -> None:
        """Lets go of weights and cache. Safe to call twice."""
        ...


@dataclass(frozen=True)
class Held:
    """How a program holds a param: the format, and bytes. `f32` are plain numbers."""

    format: str
    nbytes: int


class Footprint(Protocol):
    """The memory of a program, told before it is compiled and before a weight is read."""

    @property
    def weights(self) -> Mapping[str, Held]:
        """By path, every param that the program reads."""
        ...

    def cache(self, sizes: Sizes) -> int:
        """Bytes of all pages of all states."""
        ...

    def scratch(self, sizes: Sizes) -> int:
        """Bytes beside weights and cache, at most: what the largest step may take."""
        ...


class Backend(Protocol):
    """An entry of `inferflow.backends`.

    It may have `footprint(graph, weights) -> Footprint`, where it holds anything but float32
    numbers (`FootprintBackend`); without it `inferflow plan` counts these. It may have `examine()`
    (`ExaminedBackend`).
    """

    name: ClassVar[str]

    def available(self) -> str:
        """Empty if it works here, else why not."""
        ...

    def native(self) -> frozenset[str]:
        """Names of the ops it runs itself; the others reach it decomposed."""
        ...

    def compile(self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes) -> Program: ...


@dataclass(frozen=True)
class Finding:
    """A line of `inferflow doctor`."""

    what: str
    state: str
    """`ok`, `warning` (it works, but not as it could) or `problem` (it does not work)."""
    text: str
    help: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """For programs: JSON data."""


@runtime_checkable
class ExaminedBackend(Protocol):
    """A backend that tells `inferflow doctor` how it works on this machine."""

    def examine(self) -> Sequence[Finding]:
        """Asked where it is available. Writes nothing and compiles nothing."""
        ...


@runtime_checkable
class FootprintBackend(Protocol):
    """A backend that tells what its programs will hold."""

    def footprint(self, graph: Graph, weights: Mapping[str, Weight]) -> Footprint:
        """Looks at the weights' shapes and formats alone."""
        ...


# ---------------------------------------------------------------------------------------------
# The engine


@dataclass(frozen=True)
class Request:
    """One sequence to generate. `sampling` overrides fields of the samplers by name."""

    ids: tuple[int, ...]
    max_tokens: int
    sampling: Mapping[str, float] = field(default_factory=dict[str, float])
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_ids: frozenset[int] = frozenset()
    """Beside the model's own."""
    ignore_stop_ids: bool = False
    logprobs: int | None = None
    """None: none; n: of the chosen token and the n best."""
    reuse_prefix: bool = True
    salt: str = ""
    """Cached prefixes are shared only among requests of equal salt."""


@dataclass(frozen=True)
class TokenEvent:
    """One step of one request, in order. The last one has `finish`."""

    token: int | None
    """None where text is only flushed."""
    text: str
    """What became certain with this token (stop strings held back); may be empty."""
    finish: str | None = None
    """`stop`, `length`, `cancelled` or `error`."""
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    error: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


class Stream(Protocol):
    """A running request: iterate its events, or cancel it."""

    id: int

    def __iter__(self) -> Iterator[TokenEvent]: ...

    def cancel(self) -> None: ...


@dataclass(frozen=True)
class Stats:
    """A look at the engine, cheap enough for a health check."""

    running: int
    waiting: int
    pages: int
    free_pages: int
    heartbeat_age_s: float
    steps: int
    alive: bool


class Engine(Protocol):
    """A running model: scheduler, cache and generation loop, in a thread of its own."""

    context: int
    max_sequences: int

    def submit(self, request: Request, sink: Callable[[TokenEvent], None] | None = None) -> Stream:
        """Queues a request. `sink` gets the events in the engine's thread and must not block;
        without it, iterate the stream. Raises RequestError, OverloadedError, EngineError."""
        ...

    def evaluate(
        self,
        ids: Sequence[Sequence[int]],
        output: str,
        *,
        token_types: Sequence[Sequence[int]] | None = None,
        chunk: int | None = None,
    ) -> list[Array]:
        """Runs sequences among the others and waits: `output` (`logits`, `hidden`) for every
        token of each, float32 [length, width]. At most `chunk` tokens of one go into a step.
        Raises RequestError, OverloadedError, EngineError."""
        ...

    def stats(self) -> Stats: ...

    def close(self, *, drain: bool = False) -> None:
        """Ends all streams (`cancelled`), or with `drain` lets them finish first."""
        ...


class LoadedModel(Protocol):
    """What `inferflow_core.load` gives: one model with its tokenizer and running engine."""

    name: str
    plan: Any
    """The resolved spec."""
    backend_choice: str
    """Which backend runs it, and why that one."""
    engine: Engine

    @property
    def tokenizer(self) -> Tokenizer:
        """Opened when first asked for. Raises what its entry raises where there is none."""
        ...

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Chat messages -> ids, by the model's template. Raises RequestError where it has none."""
        ...

    def logits(
        self, ids: Sequence[Sequence[int]], *, encoder: Sequence[Sequence[int]] | None = None
    ) -> list[Array]:
        """One float32 [len, vocab] a sequence."""
        ...

    def hidden(
        self, ids: Sequence[Sequence[int]], *, token_types: Sequence[Sequence[int]] | None = None
    ) -> list[Array]:
        """The states after the last norm: one float32 [len, hidden] a sequence."""
        ...

    def generate(
        self,
        prompt: str | Sequence[int] | Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[int] | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
        logprobs: int | None = None,
        ignore_stop_ids: bool = False,
        **sampling: float,
    ) -> Iterator[TokenEvent]:
        """The events of one sequence after a text, ids or a conversation (`prompt` may be any of
        them; the keywords say which). `sampling` overrides
        fields of the samplers by name. Leaving the iterator early cancels it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def close(self) -> None: ...


# ---------------------------------------------------------------------------------------------
# Sources


class Source(Protocol):
    """An entry of `inferflow.sources`: `scheme:rest` -> a local path. `inferflow_core.store` keeps
    what was fetched; a source that uses it has `ls`, `rm` and `verify` for nothing."""

    def pinned(self, reference: str) -> bool:
        """Whether it means the same files for ever, with the hash where `pull` demands one. A spec
        may name no other reference; on the command line one may be given."""
        ...

    def locate(self, reference: str, *, sha256: str | None = None) -> Path | None:
        """The local path of a reference if it is there already; never touches the network. With
        `sha256`, only what was fetched under that hash. Of a reference that is not pinned, what it
        meant when it was last pulled."""
        ...

    def pull(
        self, reference: str, *, sha256: str | None, progress: Callable[[int, int | None], None]
    ) -> Path:
        """Fetches it (bytes done, bytes in all -> progress), unless it is there and pinned: then
        the network is not touched. Raises SourceError; then `locate` finds nothing new."""
        ...
