"""A sequence's block table: which page holds which of its tokens."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from inferflow_runtime.pages import PagePool

CopyPage = Callable[[int, int], None]
"""`Program.copy_page`: source, target."""


class BlockTable:
    """`row` is int32 [longest sequence in pages]; `row[p]` holds tokens `p*page_tokens ...`."""

    def __init__(self, pool: PagePool, page_tokens: int, max_pages: int) -> None:
        self._pool = pool
        self._page_tokens = page_tokens
        self.row: np.ndarray[Any, np.dtype[np.int32]] = np.zeros(max_pages, np.int32)
        self.count = 0

    @property
    def pages(self) -> list[int]:
        return self.row[: self.count].tolist()

    def share(self, pages: Sequence[int]) -> None:
        """Appends full pages that others have written."""
        self._pool.hold(pages)
        self._append(pages)

    def reserve(self, length: int, *, spare: int = 0) -> bool:
        """Takes pages for `length` tokens; False, and nothing taken, unless that would leave
        `spare` pages in the pool."""
        missing = -(-length // self._page_tokens) - self.count
        if missing <= 0:
            return True
        if missing + spare > self._pool.available:
            return False
        self._append(self._pool.take(missing) or ())
        return True

    def rewind(self, length: int, copy: CopyPage) -> bool:
        """Forgets the tokens from `length` on. A last page that is left in part is replaced by a
        copy where others can see it; False, and nothing changed, if there is no page for that."""
        kept = -(-length // self._page_tokens)
        if length % self._page_tokens and not self._pool.writable(last := int(self.row[kept - 1])):
            own = self._pool.take(1)
            if own is None:
                return False
            copy(last, own[0])
            self._pool.release([last])
            self.row[kept - 1] = own[0]
        self._drop(kept)
        return True

    def fork(self, length: int, copy: CopyPage) -> "BlockTable | None":
        """A second table for the first `length` tokens: full pages are shared, the last one in
        part is copied; None if there is no page for that."""
        twin = BlockTable(self._pool, self._page_tokens, len(self.row))
        full, rest = divmod(length, self._page_tokens)
        own = self._pool.take(1) if rest else []
        if own is None:
            return None
        twin.share(self.pages[:full])
        for page in own:
            copy(int(self.row[full]), page)
        twin._append(own)
        return twin

    def release(self) -> None:
        """Gives all pages back, the last first: of a prefix, the tail is forgotten before the
        head that more prompts have."""
        self._drop(0)

    def _append(self, pages: Sequence[int]) -> None:
        self.row[self.count : self.count + len(pages)] = pages
        self.count += len(pages)

    def _drop(self, kept: int) -> None:
        pages = self.row[kept : self.count].tolist()
        self._pool.release(reversed(pages))
        self.row[kept : self.count] = 0
        self.count = min(self.count, kept)
