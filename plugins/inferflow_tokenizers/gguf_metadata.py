"""Typed reads of GGUF metadata; whatever a file holds instead is a ModelFileError."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from inferflow_core.errors import ModelFileError

Number = TypeVar("Number", int, float)

MAX_TOKENS = 4 << 20


@dataclass(frozen=True)
class Metadata:
    path: Path
    raw: Mapping[str, Any]

    def text(self, key: str, default: str | None = None) -> str:
        return self._one(key, str, default)

    def flag(self, key: str, default: bool) -> bool:
        return self._one(key, bool, default)

    def id(self, key: str, size: int) -> int | None:
        """A token id below `size`, or None where the key is absent."""
        if key not in self.raw:
            return None
        found = self._one(key, int, None)
        if not 0 <= found < size:
            raise ModelFileError(self.path, f"{key} is {found}; there are {size} tokens")
        return found

    def texts(self, key: str) -> list[str]:
        found = self._many(key)
        if not all(isinstance(text, str) for text in found):
            raise ModelFileError(self.path, f"{key} must hold texts only")
        return list(found)

    def numbers(
        self, key: str, size: int, kind: type[Number], default: Number | None = None
    ) -> list[Number]:
        """`size` numbers; all `default` where the key is absent and a default is given."""
        if key not in self.raw and default is not None:
            return [default] * size
        found = self._many(key)
        if len(found) != size:
            raise ModelFileError(self.path, f"{key} has {len(found)} entries for {size} tokens")
        try:
            return [kind(number) for number in found]
        except (TypeError, ValueError) as cause:
            raise ModelFileError(self.path, f"{key} must hold numbers only: {cause}") from None

    def bytes(self, key: str) -> bytes:
        """An array of 8-bit numbers; empty where the key is absent."""
        if key not in self.raw:
            return b""
        found = self._many(key)
        try:
            return bytes(int(number) & 0xFF for number in found)
        except (TypeError, ValueError) as cause:
            raise ModelFileError(self.path, f"{key} must hold bytes: {cause}") from None

    def _one(self, key: str, kind: type[Any], default: Any) -> Any:
        found = self.raw.get(key, default)
        if kind is int and not isinstance(found, bool) and hasattr(found, "__index__"):
            found = int(found)
        if not isinstance(found, kind):
            what = "is missing" if key not in self.raw else f"is {found!r}"
            raise ModelFileError(self.path, f"{key} {what}; expected {kind.__name__}")
        return found

    def _many(self, key: str) -> Sequence[Any]:
        found = self.raw.get(key)
        if found is None or isinstance(found, str | bytes) or not hasattr(found, "__len__"):
            what = "is missing" if found is None else f"is {str(found)[:40]!r}"
            raise ModelFileError(self.path, f"{key} {what}; expected a list")
        if len(found) > MAX_TOKENS:
            raise ModelFileError(
                self.path, f"{key} has {len(found)} entries; at most {MAX_TOKENS} are read"
            )
        return found
