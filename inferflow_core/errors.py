"""Every error that Inferflow raises on purpose. The tree:

InferflowError
├── SpecError            a spec, or a value in it, is wrong; holds all problems at once
├── PluginError
│   ├── UnknownEntry     no entry of that name
│   ├── EntryNotInstalled  known, but its distribution is not installed
│   └── BrokenEntry      installed, but it does not import, or two distributions claim it
├── ModelFileError       a checkpoint, GGUF, tokenizer or template file is malformed
├── BindingError         tensors and params do not match
├── ShapeError           an op was given shapes that it cannot take
├── SourceError          a model could not be found or fetched
├── TokenizerError       a model has no tokenizer that can be used, or its library failed on a text
├── TemplateError        a chat template is missing, wrong, too costly, or refuses the messages
├── RequestError         a request asks for something impossible
├── OverloadedError      the queue is full
├── EngineError          the engine has died or is closed
├── UsageError           a command was called wrongly
└── FindingError         a report is made, and what it found is bad
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Self


class InferflowError(Exception):
    """Base of all errors meant for a person: `message` says what is wrong, `hint` what helps."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"


@dataclass(frozen=True)
class Problem:
    """One line of a SpecError: where (a dotted path) and what."""

    path: str
    message: str


class SpecError(InferflowError):
    """All problems of one spec, found in one reading."""

    exit_code = 3

    def __init__(self, spec: str, problems: Iterable[Problem], *, hint: str | None = None) -> None:
        self.spec = spec
        self.problems: Sequence[Problem] = tuple(problems)
        count = len(self.problems)
        width = max((len(problem.path) for problem in self.problems), default=0)
        lines = [f"{spec}: {count} problem{'s' if count != 1 else ''}"]
        lines += [f"  {problem.path:<{width}}  {problem.message}" for problem in self.problems]
        super().__init__("\n".join(lines), hint=hint)


class PluginError(InferflowError):
    exit_code = 4


class UnknownEntry(PluginError):
    pass


class EntryNotInstalled(PluginError):
    pass


class BrokenEntry(PluginError):
    pass


class ModelFileError(InferflowError):
    """A model file is malformed. `path` names it; the message says what was found and where."""

    exit_code = 5

    def __init__(self, path: str | Path, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{path}: {message}", hint=hint)
        self.path = Path(path)


class BindingError(InferflowError):
    """`misfits` counts the tensors and params that have no place, where that was the trouble."""

    exit_code = 5

    def __init__(self, message: str, *, hint: str | None = None, misfits: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.misfits = misfits


class ShapeError(InferflowError):
    exit_code = 3
    _placed = False

    def at(self, path: str) -> Self:
        """Itself, with the path of the block that raised it; the innermost one stays."""
        if path and not self._placed:
            self.message, self._placed = f"{self.message} at {path}", True
        return self


class SourceError(InferflowError):
    exit_code = 6


class TokenizerError(InferflowError):
    exit_code = 5


class TemplateError(InferflowError):
    """`refused` tells that the template itself rejected the messages (`raise_exception`)."""

    exit_code = 5

    def __init__(self, message: str, *, refused: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.refused = refused


class RequestError(InferflowError):
    """`param` is the field of the request that is wrong, where one is."""

    def __init__(self, message: str, *, param: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.param = param


class OverloadedError(InferflowError):
    pass


class EngineError(InferflowError):
    exit_code = 7


class UsageError(InferflowError):
    exit_code = 2


class FindingError(InferflowError):
    """`plan`: it will not fit. `doctor`: a problem. `config show`: a wrong setting. The report
    itself is printed."""

    exit_code = 8


def nearest(name: str, allowed: Iterable[str]) -> str:
    """` Did you mean 'x'?` with the nearest of `allowed`, or nothing; the only one that begins with
    `name` is."""
    names = list(allowed)
    begun = [each for each in names if each.startswith(name)] if len(name) > 2 else []
    close = begun if len(begun) == 1 else get_close_matches(name, names, n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
