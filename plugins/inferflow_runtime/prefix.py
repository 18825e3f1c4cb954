"""Keys of the prefix cache: a page's key names its tokens and everything before them."""

from array import array
from collections.abc import Sequence
from hashlib import blake2b


class PrefixKeys:
    """The keys of a growing sequence's full pages, each computed once.

    A key is a digest of (the key before it, the page's tokens); the first one's parent is made of
    the salt and the adapter, so that sequences share only what they may share. Digests are
    cryptographic: a prompt cannot be built to be taken for another.
    """

    def __init__(
        self, tokens: Sequence[int], page_tokens: int, *, salt: str = "", adapter: int = 0
    ) -> None:
        self._tokens = tokens
        self._page_tokens = page_tokens
        self._root = _digest(f"{adapter}:{salt}".encode())
        self._keys: list[bytes] = []

    def upto(self, pages: int) -> list[bytes]:
        """The keys of the first `pages` pages, whose tokens are all known."""
        for page in range(len(self._keys), pages):
            start = page * self._page_tokens
            ids = array("i", self._tokens[start : start + self._page_tokens])
            parent = self._keys[-1] if self._keys else self._root
            self._keys.append(_digest(parent + ids.tobytes()))
        return self._keys[:pages]


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
