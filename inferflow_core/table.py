"""Table: an immutable, hashable mapping, for tables that are data (`rope.scaling`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast


class Table(Mapping[str, Any]):
    """A frozen copy of a mapping; nested mappings and lists are frozen too."""

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._items: dict[str, Any] = {key: _freeze(value) for key, value in items.items()}

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self.items()) == dict(
            cast("Mapping[str, Any]", other).items()
        )

    def __repr__(self) -> str:
        return f"Table({self._items!r})"


def _freeze(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Table(cast("Mapping[str, Any]", value))
    if isinstance(value, list | tuple):
        return tuple(_freeze(item) for item in cast("list[Any]", value))
    return value
