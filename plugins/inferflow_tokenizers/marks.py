"""Keeps the special tokens that a chat template writes apart from those that people's texts spell.

The messages are rendered twice: as they are, and with a mark in every text of theirs where a
special token could begin. Without its marks the second must be the first, or the template has
looked at what was marked; then fewer places are marked. A special token without a mark in it is the
template's own.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from inferflow_core.errors import RequestError
from inferflow_tokenizers.prefixes import longest_of

MARKS = tuple(map(chr, range(0xFDD0, 0xFDF0)))
"""Noncharacters: Unicode gives them to programs, and to no text. No template trims them."""

Variables = Mapping[str, Any]


class Marks:
    """For one vocabulary's special tokens."""

    def __init__(self, special: Iterable[str]) -> None:
        self._whole = longest_of(special)
        begins = {token[0] for token in special if not token[0].isalnum()}
        words = [token for token in special if token[0].isalnum()]
        self._begin = longest_of([*begins, *words])

    def needed(self, variables: Variables) -> bool:
        """Whether a text among the values could become part of a special token."""
        return any(self._begin.search(text) for text in _texts(variables))

    def unlike(self, variables: Variables) -> str:
        """A mark that no text has in it, nor its escape in JSON. Raises RequestError."""
        written = json.dumps(variables)
        for mark in MARKS:
            if _escape(mark) not in written:
                return mark
        raise RequestError("the messages use all of U+FDD0 to U+FDEF, which are no characters")

    def versions(self, variables: Variables, mark: str) -> Iterator[Variables]:
        """`variables` with marks, from the most to the fewest that keep texts apart: wherever a
        special token could begin; in each that is spelt whole; there, but not in what the model
        has said, since some templates look for its marks of thinking."""
        yield _marked(variables, self._begin, mark)
        yield _marked(variables, self._whole, mark)
        others = [
            message if message.get("role") == "assistant" else _marked(message, self._whole, mark)
            for message in variables["messages"]
        ]
        yield {**_marked(variables, self._whole, mark), "messages": others}


def unescaped(text: str, mark: str) -> str:
    """A rendering in which a filter has escaped marks, with marks."""
    return text.replace(_escape(mark), mark)


def _escape(mark: str) -> str:
    return json.dumps(mark)[1:-1]


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for key, item in value.items():
                yield from _texts(key)
                yield from _texts(item)
        case list() | tuple():
            for item in value:
                yield from _texts(item)


def _marked(value: Any, places: re.Pattern[str], mark: str) -> Any:
    match value:
        case str():
            return places.sub(lambda found: found[0][0] + mark + found[0][1:], value)
        case Mapping():
            items = value.items()
            return {_marked(k, places, mark): _marked(v, places, mark) for k, v in items}
        case list() | tuple():
            return [_marked(item, places, mark) for item in value]
        case _:
            return value
