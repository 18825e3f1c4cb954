"""The config that whoever comes after the spec reads: name maps, the engine."""

from collections.abc import Iterator, Mapping
from typing import Any

from inferflow_core.spec.problems import Wrong
from inferflow_core.spec.values import Values


class FilledConfig(Mapping[str, Any]):
    """A checkpoint's keys, and those of the spec's `[config]` that it lacks.

    A default is evaluated when it is asked for; one that cannot be is as absent as a key that
    nobody wrote.
    """

    def __init__(self, checkpoint: Mapping[str, Any], values: Values) -> None:
        self._checkpoint = checkpoint
        self._values = values

    def __getitem__(self, key: str) -> Any:
        value = self._checkpoint.get(key)
        if value is None:
            value = self._default(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        keys = dict.fromkeys([*self._checkpoint, *self._values.defaults()])
        return (key for key in keys if key in self)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _default(self, key: str) -> Any:
        try:
            return self._values.default(key)
        except Wrong:
            return None
