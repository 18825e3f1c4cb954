"""The page pool and block tables: no leak, no double free, shared pages never overwritten."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from inferflow_runtime.pages import PagePool
from inferflow_runtime.prefix import PrefixKeys
from inferflow_runtime.table import BlockTable

PAGES, SIZE, LONGEST = 12, 4, 8


def test_page_zero_is_never_given_and_too_much_gives_nothing():
    pool = PagePool(5)
    assert pool.take(5) is None
    assert sorted(pool.take(4) or []) == [1, 2, 3, 4]
    assert pool.available == 0


def test_releasing_twice_and_sharing_a_free_page_are_errors():
    pool = PagePool(3)
    (page,) = pool.take(1) or []
    pool.release([page])
    with pytest.raises(ValueError, match="nobody holds it"):
        pool.release([page])
    with pytest.raises(ValueError, match="is free"):
        pool.hold([page])


def test_the_page_let_go_of_first_is_taken_first():
    pool = PagePool(4)
    first, second, third = pool.take(3) or []
    for page in (first, second, third):
        pool.publish(page, bytes([page]))
    pool.release([second])
    pool.release([first])
    assert pool.take(1) == [second]
    assert pool.find([bytes([first])]) == [first]
    assert pool.find([bytes([second])]) == []


def test_of_a_released_prefix_the_tail_is_forgotten_first():
    pool = PagePool(4)
    table = BlockTable(pool, SIZE, LONGEST)
    assert table.reserve(3 * SIZE)
    keys = PrefixKeys(list(range(12)), SIZE).upto(3)
    for page, key in zip(table.pages, keys, strict=True):
        pool.publish(page, key)
    head = table.pages[:2]
    table.release()
    assert pool.take(1) is not None
    assert pool.find(keys) == head


def test_keys_tell_tokens_parents_salts_and_adapters_apart():
    tokens = [1, 2, 3, 4, 5, 6, 7, 8]
    keys = PrefixKeys(tokens, SIZE).upto(2)
    assert PrefixKeys([*tokens, 9], SIZE).upto(2) == keys
    assert PrefixKeys([1, 2, 3, 4, 5, 6, 7, 9], SIZE).upto(2)[0] == keys[0]
    others = [
        PrefixKeys([1, 2, 3, 4, 5, 6, 7, 9], SIZE).upto(2)[1],
        PrefixKeys([0, 2, 3, 4, 5, 6, 7, 8], SIZE).upto(2)[1],
        PrefixKeys(tokens, SIZE, salt="x").upto(2)[1],
        PrefixKeys(tokens, SIZE, adapter=1).upto(2)[1],
        PrefixKeys(tokens[4:], SIZE).upto(1)[0],
    ]
    assert len({keys[1], *others}) == 6


def test_fork_shares_full_pages_and_copies_the_last():
    pool = PagePool(8)
    copies: list[tuple[int, int]] = []
    table = BlockTable(pool, SIZE, LONGEST)
    assert table.reserve(10)
    twin = table.fork(10, lambda a, b: copies.append((a, b)))
    assert twin is not None
    assert twin.pages[:2] == table.pages[:2]
    assert copies == [(table.pages[2], twin.pages[2])]
    assert twin.pages[2] != table.pages[2]
    pool.check([table.pages, twin.pages])


def test_rewinding_into_a_shared_page_copies_it_and_into_an_own_one_does_not():
    pool = PagePool(8)
    copies: list[tuple[int, int]] = []
    table = BlockTable(pool, SIZE, LONGEST)
    assert table.reserve(12)
    first, second, _ = table.pages
    assert table.rewind(7, lambda a, b: copies.append((a, b)))
    assert (table.pages, copies) == ([first, second], [])
    pool.publish(second, b"key")
    assert table.rewind(6, lambda a, b: copies.append((a, b)))
    assert copies == [(second, table.pages[1])]
    assert table.pages[1] != second
    assert pool.find([b"key"]) == [second]


class Pool(RuleBasedStateMachine):
    """Random sequences that start, share, grow, fork, rewind and end; `memory` is what the
    program would have written, and every sequence must find its own tokens there."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PagePool(PAGES)
        self.memory: dict[tuple[int, int], int] = {}
        self.live: list[tuple[BlockTable, list[int]]] = []

    def copy(self, source: int, target: int) -> None:
        for place in range(SIZE):
            self.memory[target, place] = self.memory.get((source, place), -1)

    def write(self, table: BlockTable, tokens: list[int], begin: int) -> None:
        for position in range(begin, len(tokens)):
            page = int(table.row[position // SIZE])
            assert self.pool.writable(page)
            self.memory[page, position % SIZE] = tokens[position]
        full = len(tokens) // SIZE
        for page, key in zip(table.pages, PrefixKeys(tokens, SIZE).upto(full), strict=False):
            self.pool.publish(page, key)

    @rule(tokens=st.lists(st.integers(0, 1), min_size=1, max_size=20))
    def start(self, tokens: list[int]) -> None:
        table = BlockTable(self.pool, SIZE, LONGEST)
        keys = PrefixKeys(tokens, SIZE).upto((len(tokens) - 1) // SIZE)
        table.share(self.pool.find(keys))
        begin = table.count * SIZE
        if table.reserve(len(tokens)):
            self.write(table, tokens, begin)
            self.live.append((table, tokens))
        else:
            table.release()

    @precondition(lambda self: self.live)
    @rule(data=st.data(), more=st.lists(st.integers(0, 1), max_size=6))
    def grow(self, data: Any, more: list[int]) -> None:
        table, tokens = data.draw(st.sampled_from(self.live))
        if len(tokens) + len(more) <= SIZE * LONGEST and table.reserve(len(tokens) + len(more)):
            tokens += more
            self.write(table, tokens, len(tokens) - len(more))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def fork(self, data: Any) -> None:
        table, tokens = data.draw(st.sampled_from(self.live))
        length = data.draw(st.integers(1, len(tokens)))
        twin = table.fork(length, self.copy)
        if twin is not None:
            self.live.append((twin, tokens[:length]))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def rewind(self, data: Any) -> None:
        table, tokens = data.draw(st.sampled_from(self.live))
        length = data.draw(st.integers(1, len(tokens)))
        if table.rewind(length, self.copy):
            del tokens[length:]

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def end(self, data: Any) -> None:
        table, _ = self.live.pop(data.draw(st.integers(0, len(self.live) - 1)))
        table.release()

    @invariant()
    def books_agree(self) -> None:
        self.pool.check([table.pages for table, _ in self.live])

    @invariant()
    def everyone_finds_its_tokens(self) -> None:
        for table, tokens in self.live:
            found = [self.memory[int(table.row[i // SIZE]), i % SIZE] for i in range(len(tokens))]
            assert found == tokens


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
