"""Random company: whatever comes, waits, is cancelled and is preempted, tokens are right and no
page is lost."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from inferflow_runtime.prefix import PrefixKeys
from inferflow_runtime.scheduler import Scheduler
from inferflow_runtime.sequence import Sequence

from inferflow_core.interfaces import Sizes

PAGE = 4


class Count:
    """A task that wants `left` more tokens."""

    output = "logits"
    every_row = False
    cancelled = False

    def __init__(self, left: int) -> None:
        self.left = left
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1

    def end(self, reason: str, error: str | None = None) -> None:
        raise AssertionError("the scheduler ends nothing")


jobs = st.tuples(
    st.lists(st.integers(0, 1), min_size=1, max_size=20), st.integers(1, 12), st.booleans()
)
actions = st.lists(st.one_of(jobs, st.just("step"), st.integers(0, 5)), max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    actions=actions,
    pages=st.integers(9, 20),
    max_tokens=st.integers(1, 24),
    max_sequences=st.integers(1, 5),
)
def test_any_company(actions: list[Any], pages: int, max_tokens: int, max_sequences: int):
    sizes = Sizes(pages, PAGE, max_tokens, max_sequences, context=32)
    scheduler = Scheduler(sizes)
    memory: dict[tuple[int, int], int] = {}
    steps = 0

    def step() -> None:
        chunks = scheduler.plan()
        assert bool(chunks) == bool(scheduler.running or scheduler.waiting)
        assert sum(chunk.count for chunk in chunks) <= max_tokens
        assert len(scheduler.running) <= min(max_sequences, max_tokens)
        assert len({chunk.sequence for chunk in chunks}) == len(chunks)
        for chunk in chunks:
            sequence = chunk.sequence
            assert chunk.count > 0
            assert sequence.table is not None
            for i in range(sequence.computed, sequence.computed + chunk.count):
                page = int(sequence.table.row[i // PAGE])
                assert scheduler.pool.writable(page)
                memory[page, i % PAGE] = sequence.tokens[i]
        for chunk in chunks:
            sequence, task = chunk.sequence, chunk.sequence.task
            scheduler.advance(sequence, chunk.count)
            assert isinstance(task, Count)
            assert sequence.table is not None
            for i in range(sequence.computed):
                found = memory[int(sequence.table.row[i // PAGE]), i % PAGE]
                assert found == sequence.tokens[i]
            if not sequence.remaining:
                task.left -= 1
                sequence.tokens.append(len(sequence.tokens) % 2)
                if not task.left:
                    scheduler.remove(sequence)
        scheduler.pool.check([s.table.pages for s in scheduler.running if s.table is not None])

    for action in actions:
        if action == "step":
            step()
        elif isinstance(action, int):
            everyone = list(scheduler.everyone())
            if action < len(everyone):
                scheduler.remove(everyone[action])
        else:
            tokens, count, shares = action
            keys = PrefixKeys(tokens, PAGE) if shares else None
            scheduler.waiting.append(Sequence(task=Count(count), tokens=tokens, keys=keys))
    while scheduler.running or scheduler.waiting:
        step()
        steps += 1
        assert steps < 5000, "it does not come to an end"
    scheduler.pool.check([])


def test_waiting_sequences_come_in_the_order_they_came_and_the_youngest_goes_first():
    scheduler = Scheduler(Sizes(9, PAGE, 64, 4, 32))
    sequences = [Sequence(task=Count(9), tokens=[1] * 8, keys=None) for _ in range(4)]
    scheduler.waiting.extend(sequences)
    assert [chunk.sequence for chunk in scheduler.plan()] == sequences[:3]
    assert list(scheduler.waiting) == sequences[3:]
    for sequence in sequences[:3]:
        scheduler.advance(sequence, 8)
        sequence.tokens.append(1)
    assert [chunk.sequence for chunk in scheduler.plan()] == sequences[:2]
    assert list(scheduler.waiting) == sequences[2:]
    assert [s.task.restarts for s in sequences] == [0, 0, 1, 0]  # pyright: ignore
