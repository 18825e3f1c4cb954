"""What SentencePiece does to a text before it cuts it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from inferflow_core.errors import RequestError
from inferflow_tokenizers.charsmap import Charsmap
from inferflow_tokenizers.limits import MAX_TEXT
from inferflow_tokenizers.prefixes import longest_of

MAX_NORMALIZED = 16 * MAX_TEXT
"""Bytes; a map may replace one by many."""


@dataclass(frozen=True)
class PieceNormalizer:
    """The names are those of SentencePiece's NormalizerSpec."""

    charsmap: Charsmap | None = None
    user_defined: Sequence[str] = ()
    """Pieces that are never replaced."""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = False
    treat_whitespace_as_suffix: bool = False
    """The dummy space goes to the end."""
    space: str = "▁"
    """How a space is written in pieces."""

    def __call__(self, text: str, *, dummy: bool = True) -> str:
        """`dummy`: whether this text gets the dummy space, if any. Raises RequestError for a text
        that grows beyond reason."""
        parts = self._replaced(text)
        trim = self.remove_extra_whitespaces
        if trim:
            start = next((at for at, part in enumerate(parts) if part != " "), len(parts))
            parts = parts[start:]
        if not parts:
            return ""
        kept: list[str] = []
        after_space = trim
        for part in parts:
            if after_space:
                part = part.lstrip(" ")
            if part:
                kept.append(part)
                after_space = trim and part.endswith(" ")
        normalized = "".join(kept).replace(" ", self.space)
        dummy = dummy and self.add_dummy_prefix
        if dummy and not self.treat_whitespace_as_suffix:
            normalized = self.space + normalized
        if trim:
            while normalized.endswith(self.space):
                normalized = normalized.removesuffix(self.space)
        if dummy and self.treat_whitespace_as_suffix:
            normalized += self.space
        return normalized

    def _replaced(self, text: str) -> list[str]:
        """`text` in parts: user-defined pieces, replacements, characters."""
        if self.charsmap is None and not self.remove_extra_whitespaces:
            return [text] if text else []
        data = text.encode()
        parts: list[str] = []
        at = room = 0
        while at < len(data):
            length, part = self._part(data, at)
            parts.append(part.decode("utf-8", "replace"))
            at += length
            room += len(part)
            if room > MAX_NORMALIZED:
                raise RequestError(
                    f"the text grows beyond {MAX_NORMALIZED} bytes by the tokenizer's map"
                )
        return parts

    def _part(self, data: bytes, at: int) -> tuple[int, bytes]:
        """How many bytes the next part takes, and what it is."""
        if self._kept is not None and (kept := self._kept.match(data, at)):
            return len(kept[0]), kept[0]
        if self.charsmap is not None and (found := self.charsmap.longest(data, at)):
            return found
        first = data[at]
        length = 1 + (first >= 0xC0) + (first >= 0xE0) + (first >= 0xF0)
        return length, data[at : at + length]

    @cached_property
    def _kept(self) -> re.Pattern[bytes] | None:
        if not self.user_defined:
            return None
        return re.compile(longest_of(self.user_defined).pattern.encode())
