"""What answers depend on beside the messages: numbers of the samplers, length, seed, stop texts."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from inferflow_core.errors import UsageError, nearest

DEFAULT = "default"
OTHERS = ("max_tokens", "seed", "stop")
LANGUAGES = ("source_language", "target_language")


class Settings:
    """`defaults` are the numbers that can be set, None where only the server knows the default;
    `check` says what is wrong with all of them together, empty if nothing; `languages`: whether
    a text may have some."""

    def __init__(
        self,
        defaults: Mapping[str, float | None],
        check: Callable[[Mapping[str, float]], str] = lambda values: "",
        *,
        languages: bool = False,
    ) -> None:
        self._defaults = defaults
        self._check = check
        self._others = (*OTHERS, *LANGUAGES) if languages else OTHERS
        self.sampling: dict[str, float] = {}
        self.max_tokens: int | None = None
        self.seed: int | None = None
        self.stop: tuple[str, ...] = ()
        self.source_language: str | None = None
        self.target_language: str | None = None

    @property
    def languages(self) -> dict[str, Any]:
        """Those that are set."""
        values = {name: getattr(self, name) for name in LANGUAGES}
        return {name: value for name, value in values.items() if value is not None}

    def set(self, name: str, text: str) -> None:
        """`default` takes a setting back. Raises UsageError."""
        known = (*self._defaults, *self._others)
        if name not in known:
            near = nearest(name, known)
            raise UsageError(f"no setting {name!r}.{near}", hint=f"there are: {', '.join(known)}")
        if name in self._others:
            setattr(self, name, self._other(name, text))
        elif text == DEFAULT:
            self.sampling.pop(name, None)
        else:
            self._number(name, text)

    def rows(self) -> list[tuple[str, str]]:
        """Every setting and its value, for people."""
        numbers = {name: self.sampling.get(name, value) for name, value in self._defaults.items()}
        stop = " ".join(map(repr, self.stop)) or None
        values: dict[str, Any] = {
            **numbers,
            **{name: getattr(self, name) for name in self._others},
            "stop": stop,
        }
        unset = {"max_tokens": "what fits", "seed": "another each time", "stop": "none"}
        unset |= dict.fromkeys(LANGUAGES, "the model's own")
        return [
            (name, unset.get(name, "the server's") if value is None else _text(value))
            for name, value in values.items()
        ]

    def _number(self, name: str, text: str) -> None:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UsageError(f"{name} is {text[:60]!r}; it must be a number")
        values = {**self._defaults, **self.sampling, name: value}
        problem = self._check({key: each for key, each in values.items() if each is not None})
        if problem:
            raise UsageError(problem)
        self.sampling[name] = value

    def _other(self, name: str, text: str) -> Any:
        if name == "stop":
            return () if text == DEFAULT else (text,)
        if text == DEFAULT:
            return None
        if name in LANGUAGES:
            return text
        least = 1 if name == "max_tokens" else -(2**63)
        try:
            value = int(text)
        except ValueError:
            raise UsageError(f"{name} is {text[:60]!r}; it must be a whole number") from None
        if not least <= value < 2**63:
            raise UsageError(f"{name} is {value}; at least {least}")
        return value


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
