"""The top-level tables that are no plugins: their keys, as records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from inferflow_core.spec.field_types import Either, ListOf, Named, Plugin, Record, Scalar, Type
from inferflow_core.spec.run import Run

NameMap = Annotated[str, Named("names")]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """`[weights]`: `names` is one map or one for each source; the rest says where the file is."""

    names: NameMap | Mapping[str, NameMap]
    """A name map, or one for each of `hf`, `gguf` and `llama2c`."""
    use: Annotated[str, Named("loader")] | None = None
    """The loader; absent: found by the files."""
    path: str | None = None
    """The checkpoint: a path, looked up beside the spec, or a source's reference."""
    sha256: str | None = None
    """Of what is fetched, or of its manifest."""
    file: str | None = None
    """The file to open within what is fetched."""


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """`[tokenizer]`; absent: what the model's own files say."""

    use: Annotated[str, Named("tokenizer", auto=True)] = "auto"
    """Which entry reads it; auto: found by the files."""
    bos: bool | None = None
    """Whether a text begins with the token BOS."""
    eos: bool | None = None
    """Whether a text ends with the token EOS."""
    prefix: tuple[str, ...] = ()
    """Tokens before every text."""
    suffix: tuple[str, ...] = ()
    """Tokens after every text."""
    chat: str | None = None
    """A chat template."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """`[generation]`: the decoder's start, a forced first token, and the ids that end a text."""

    start: int | None = None
    """Id that a decoder beside an encoder starts with."""
    first: int | None = None
    """Id that is forced as the first answer."""
    stop: Annotated[tuple[int, ...], Either((Scalar("int"), ListOf(Scalar("int"))))] = ()
    """Ids that end a text."""

    def __post_init__(self) -> None:
        if isinstance(self.stop, int):
            object.__setattr__(self, "stop", (self.stop,))


TABLE_TYPES: Mapping[str, Type] = {
    "weights": Record(Weights),
    "tokenizer": Record(Tokenizer),
    "generation": Record(Generation),
    "model": Plugin("model"),
    "run": Record(Run),
}
