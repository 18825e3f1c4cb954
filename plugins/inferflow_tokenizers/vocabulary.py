"""What a vocabulary must be for `TextTokenizer` to make a tokenizer of it."""

from collections.abc import Mapping
from typing import Any, Protocol


class Vocabulary(Protocol):
    """Text to ids and back, without any policy. Safe under threads."""

    kind: str
    """`BPE`, `Unigram`, `WordPiece` …"""
    size: int
    """One more than the highest id."""
    special: Mapping[int, str]
    """Special tokens: their texts become them only where that is asked for."""
    decoder: Mapping[str, Any] | None
    """How ids become text: the table of that name in a tokenizer.json."""
    around: tuple[tuple[int, ...], tuple[int, ...]]
    """What this kind puts before and after a text, where no file says otherwise."""

    def encode(self, text: str, *, parse_special: bool, mark: str = "") -> list[int]:
        """The ids of a checked text. `mark` is a character that is no part of the text; it stands
        inside of whatever must not become a special token, and is taken out. Raises
        TokenizerError."""
        ...

    def pair(self, first: str, second: str) -> tuple[list[int], list[int]] | None:
        """Ids and types of two checked texts; None where nothing is known to stand between."""
        ...

    def token(self, id: int) -> str | None: ...

    def token_id(self, token: str) -> int | None: ...
