"""Ids to text, one id at a time.

The `tokenizers` library decodes whole lists; a server needs each id's text once and for good. Its
decoders all come down to three things: a change to each token's text (which may depend on being the
first), bytes that only together form characters, and a strip at the start of the whole. `Pieces`
holds these for one vocabulary; `PieceStream` runs them over a stream.

One difference from the library is on purpose: bytes that are not UTF-8 become U+FFFD by the rule of
the Unicode standard, also for `<0xNN>` tokens. (The library gives U+FFFD for each byte of a whole
run of such tokens once one of them is wrong, which no stream could know beforehand.)
"""

import codecs
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

TextStep = Callable[[str, bool], str]
"""Token text, whether it is the first token -> text."""

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")

PRIME_TAIL = 32
"""Tokens at a prompt's end that may still hold bytes of an unfinished character."""

WORDPIECE_CLEANUP = {
    " .": ".",
    " ?": "?",
    " !": "!",
    " ,": ",",
    " ' ": "'",
    " n't": "n't",
    " 'm": "'m",
    " do not": " don't",
    " 's": "'s",
    " 've": "'ve",
    " 're": "'re",
}


class UnsupportedDecoder(ValueError):
    """A tokenizer names a decoder that has no streaming form here."""


class Pieces:
    """What each id adds to a text. `decoder` is the table of that name in a tokenizer.json."""

    def __init__(
        self,
        decoder: Mapping[str, Any] | None,
        token: Callable[[int], str | None],
        special: frozenset[int],
    ) -> None:
        self._token = token
        self._special = special
        self._steps: list[TextStep] = []
        self._byte_level = False
        self._byte_fallback = False
        self._by_position = False
        self._cache: dict[int, bytes] = {}
        self.strip = ("", 0)
        """What is taken from the start of a text, and how often at most."""
        self._read(decoder)

    def piece(self, id: int, *, first: bool, skip_special: bool) -> bytes | None:
        """The bytes that an id adds, or None where it is passed over."""
        if skip_special and id in self._special:
            return None
        found = self._cache.get(id)
        if found is None or (first and self._by_position):
            text = self._token(id)
            if text is None:
                return None
            found = self._bytes(text, first)
            if not (first and self._by_position):
                self._cache[id] = found
        return found

    def _bytes(self, text: str, first: bool) -> bytes:
        if self._byte_fallback and (match := BYTE_TOKEN.fullmatch(text)):
            return bytes([int(match[1], 16)])
        for step in self._steps:
            text = step(text, first)
        if self._byte_level:
            mapped = [BYTE_OF_CHAR.get(character) for character in text]
            if None not in mapped:
                return bytes(byte for byte in mapped if byte is not None)
        return text.encode("utf-8", "replace")

    def _read(self, decoder: Mapping[str, Any] | None) -> None:
        if decoder is None:
            self._by_position = True
            self._steps.append(lambda text, first: text if first else f" {text}")
            return
        parts = decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]
        fused = False
        for part in parts:
            kind = part["type"]
            if fused and not (kind == "Strip" and part["stop"] == 0):
                raise UnsupportedDecoder(f"{kind} after Fuse")
            if kind == "ByteFallback":
                self._byte_fallback = True
            elif kind == "Fuse":
                fused = True
            elif kind == "ByteLevel":
                self._byte_level = fused = True
            elif kind == "Strip" and fused:
                self.strip = (part["content"], part["start"])
            else:
                self._steps.append(_text_step(part))
                self._by_position |= kind in ("Metaspace", "WordPiece")


def _text_step(part: Mapping[str, Any]) -> TextStep:
    match part["type"]:
        case "Replace" if "String" in part["pattern"]:
            old, new = part["pattern"]["String"], part["content"]
            return lambda text, _: text.replace(old, new)
        case "Strip":
            content, start, stop = part["content"], part["start"], part["stop"]
            return lambda text, _: _strip(text, content, start, stop)
        case "Metaspace":
            mark = part["replacement"]
            drop = part.get("prepend_scheme", "always") != "never"
            return lambda text, first: text.replace(mark, "" if first and drop else " ")
        case "WordPiece":
            prefix, cleanup = part["prefix"], part["cleanup"]
            return lambda text, first: _wordpiece(text, first, prefix, cleanup)
        case kind:
            raise UnsupportedDecoder(str(kind))


def _strip(text: str, content: str, start: int, stop: int) -> str:
    for _ in range(start):
        text = text.removeprefix(content)
    for _ in range(stop):
        text = text.removesuffix(content)
    return text


def _wordpiece(text: str, first: bool, prefix: str, cleanup: bool) -> str:
    if not first:
        text = text.removeprefix(prefix) if text.startswith(prefix) else f" {text}"
    if cleanup:
        for old, new in WORDPIECE_CLEANUP.items():
            text = text.replace(old, new)
    return text


class PieceStream:
    """A StreamDecoder: constant work for each token, characters only whole."""

    def __init__(self, pieces: Pieces, *, skip_special: bool, prompt: Sequence[int] = ()) -> None:
        self._pieces = pieces
        self._skip_special = skip_special
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._first = True
        self._content, self._strip = pieces.strip
        self._prime(prompt)

    def push(self, token: int) -> str:
        data = self._pieces.piece(token, first=self._first, skip_special=self._skip_special)
        if data is None:
            return ""
        self._first = False
        return self._start(self._utf8.decode(data))

    def flush(self) -> str:
        return self._start(self._utf8.decode(b"", final=True))

    def _start(self, text: str) -> str:
        while self._strip and text:
            self._strip -= 1
            if not text.startswith(self._content):
                self._strip = 0
            text = text.removeprefix(self._content)
        return text

    def _prime(self, prompt: Sequence[int]) -> None:
        """Brings the stream to where the prompt ends: past the start, in the same character."""
        for at, token in enumerate(prompt):
            self.push(token)
            if not self._first and not self._strip:
                for token in prompt[max(at + 1, len(prompt) - PRIME_TAIL) :]:
                    self.push(token)
                return


def _char_of_byte() -> dict[int, str]:
    """GPT-2's printable stand-ins: a byte that prints stands for itself, the others follow 255."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + n) for n, b in enumerate(others)}


BYTE_OF_CHAR: Mapping[str, int] = {char: byte for byte, char in _char_of_byte().items()}
