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
    use: Annotated[str, Named("loader")] | None = None
    path: str | None = None
    sha256: str | None = None
    file: str | None = None


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """`[tokenizer]`; absent: what the model's own files say."""

    use: Annotated[str, Named("tokenizer", auto=True)] = "auto"
    bos: bool | None = None
    eos: bool | None = None
    prefix: tuple[str, ...] = ()
    suffix: tuple[str, ...] = ()
    chat: str | None = None


@dataclass(frozen=True, kw_only=True)
class Generation:
    """`[generation]`: the decoder's start, a forced first token, and the ids that end a text."""

    start: int | None = None
    first: int | None = None
    stop: Annotated[tuple[int, ...], Either((Scalar("int"), ListOf(Scalar("int"))))] = ()

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
