"""The pages of the cache: who holds them, and what tokens an unheld one still has."""

from collections.abc import Iterable, Sequence


class PagePool:
    """Pages 1 .. pages-1 with reference counts (page 0 swallows padding and is never given out).

    A page is *free*, *held* (by one sequence or more), or *idle*: held by nobody, but published
    under a key, so that a later sequence may share it. When free pages run out, the idle page
    that was let go of longest ago is taken.
    """

    def __init__(self, pages: int) -> None:
        self._free = list(range(pages - 1, 0, -1))
        self._holders = [0] * pages
        self._idle: dict[int, None] = {}
        self._key_of: dict[int, bytes] = {}
        self._page_of: dict[bytes, int] = {}

    @property
    def available(self) -> int:
        """Pages that `take` could give."""
        return len(self._free) + len(self._idle)

    def take(self, count: int) -> list[int] | None:
        """`count` pages, each held once; None, and nothing taken, if there are not as many."""
        if count > self.available:
            return None
        while len(self._free) < count:
            self._forget(next(iter(self._idle)))
        pages = [self._free.pop() for _ in range(count)]
        for page in pages:
            self._holders[page] = 1
        return pages

    def hold(self, pages: Iterable[int]) -> None:
        """One more holder for each: pages that `find` gave, or that somebody holds."""
        for page in pages:
            if self._holders[page] == 0:
                if page not in self._idle:
                    raise ValueError(f"page {page} is free and cannot be shared")
                del self._idle[page]
            self._holders[page] += 1

    def release(self, pages: Iterable[int]) -> None:
        """One holder less for each; what nobody holds becomes idle if published, else free."""
        for page in pages:
            if self._holders[page] == 0:
                raise ValueError(f"page {page} is released, but nobody holds it")
            self._holders[page] -= 1
            if self._holders[page] == 0:
                if page in self._key_of:
                    self._idle[page] = None
                else:
                    self._free.append(page)

    def publish(self, page: int, key: bytes) -> None:
        """Lets others find a held page, whose tokens are all there and will not change."""
        if key not in self._page_of:
            self._page_of[key] = page
            self._key_of[page] = key

    def find(self, keys: Iterable[bytes]) -> list[int]:
        """The pages of the longest run of keys, from the first, that are published."""
        pages: list[int] = []
        for key in keys:
            page = self._page_of.get(key)
            if page is None:
                break
            pages.append(page)
        return pages

    def writable(self, page: int) -> bool:
        """Whether its one holder may overwrite it."""
        return self._holders[page] == 1 and page not in self._key_of

    def check(self, held: Sequence[Iterable[int]]) -> None:
        """Raises AssertionError unless the books agree with what each sequence says it holds."""
        count = [0] * len(self._holders)
        for pages in held:
            for page in pages:
                count[page] += 1
        assert count == self._holders, "reference counts differ from the pages held"
        free, idle = set(self._free), set(self._idle)
        unheld = {page for page in range(1, len(count)) if count[page] == 0}
        assert len(free) == len(self._free), "a page is free twice"
        assert not free & idle, "a page is free and idle"
        assert free | idle == unheld, "a page is lost"
        assert idle <= set(self._key_of), "an idle page has no key"
        assert {page: key for key, page in self._page_of.items()} == self._key_of

    def _forget(self, page: int) -> None:
        del self._idle[page]
        del self._page_of[self._key_of.pop(page)]
        self._free.append(page)
