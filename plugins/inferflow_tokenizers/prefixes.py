"""Looking for texts of a set at a place of another text."""

import re
from collections.abc import Iterable, Mapping, Sequence


def longest_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches the longest of `texts` that stands at a place."""
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))))


def lengths_by_first(texts: Iterable[str]) -> Mapping[str, Sequence[int]]:
    """First character -> lengths of the texts that begin with it, longest first."""
    found: dict[str, set[int]] = {}
    for text in texts:
        found.setdefault(text[0], set()).add(len(text))
    return {first: sorted(lengths, reverse=True) for first, lengths in found.items()}
