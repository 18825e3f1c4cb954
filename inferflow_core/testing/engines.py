"""Suite of engines: on a program of its own, without a tokenizer."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, ClassVar

from inferflow_core.errors import EngineError, RequestError
from inferflow_core.interfaces import Engine, ProgramEntry, Request, Sizes, TokenEvent
from inferflow_core.testing.chain import BETWEEN, VOCAB, ChainProgram, greedy_of, scores_of
from inferflow_core.testing.registered import EntrySuite

PROMPTS = [tuple((7 * i + n) % VOCAB for i in range(n)) for n in (1, 5, 16, 37, 50, 2, 17)]


class EngineSuite(EntrySuite):
    """Give `name`. The engine runs a program that finds its tokens through the block tables, so
    whatever is wrong with pages, steps or order gives other tokens. Its sampler is `greedy`."""

    kind: ClassVar[str] = "engine"
    sizes: ClassVar[Sizes] = Sizes(
        pages=40, page_tokens=16, max_tokens=24, max_sequences=4, context=96
    )

    @contextmanager
    def running(self, *, encodes: bool = False) -> Generator[tuple[Engine, ChainProgram]]:
        """The engine, made as the runtime makes it, and its program; `encodes`: one that has an
        encoder, whose steps are as long as the context. Closed in the end."""
        sizes, entries = self.sizes, {"step": ProgramEntry({"logits": False})}
        if encodes:
            sizes = replace(sizes, max_tokens=sizes.context, source_pages=sizes.pages)
            entries["encode"] = ProgramEntry({"logits": False}, whole=True)
        program = ChainProgram(sizes, self.prober().array)
        engine = self.entry()(
            program,
            sizes=sizes,
            vocab=VOCAB,
            samplers=(self.catalog().get("sampler", "greedy")(),),
            tokenizer=lambda: None,
            stop_ids=(),
            entries=entries,
            max_queue=64,
            prefix_cache=True,
        )
        try:
            yield engine, program
        finally:
            engine.close()

    def test_generates_what_the_program_says(self) -> None:
        """One request gets the likeliest tokens, and its last event tells the counts."""
        with self.running() as (engine, _):
            events = list(engine.submit(Request(PROMPTS[3], 9)))
        assert tokens(events) == greedy_of(PROMPTS[3], 9)
        assert [event.finish for event in events] == [None] * 8 + ["length"]
        assert (events[-1].prompt_tokens, events[-1].completion_tokens) == (37, 9)

    def test_neighbours_change_nothing(self) -> None:
        """More requests than fit, at once, get the tokens they get alone, and no step is larger
        than `max_tokens`."""
        with self.running() as (engine, program):
            streams = [engine.submit(Request(prompt, 6)) for prompt in PROMPTS * 2]
            found = [tokens(stream) for stream in streams]
            assert program.largest_step <= self.sizes.max_tokens
        assert found == [greedy_of(prompt, 6) for prompt in PROMPTS * 2]

    def test_a_prefix_that_is_known_changes_nothing(self) -> None:
        """Asked again, and for a longer text that begins alike, it gives the same tokens."""
        longer = (*PROMPTS[4], *greedy_of(PROMPTS[4], 8), 3, 1)
        with self.running() as (engine, _):
            for prompt in (PROMPTS[4], PROMPTS[4], longer, longer[:-3]):
                assert tokens(engine.submit(Request(prompt, 8))) == greedy_of(prompt, 8)

    def test_stop_ids_end_a_text(self) -> None:
        """With a token of the request's `stop_ids` it ends, and says `stop`."""
        expected = greedy_of(PROMPTS[1], 12)
        with self.running() as (engine, _):
            stop = frozenset({expected[5]})
            events = list(engine.submit(Request(PROMPTS[1], 12, stop_ids=stop)))
        assert events[-1].finish == "stop"
        assert len(events) <= 1 + expected.index(expected[5])

    def test_evaluates_every_token(self) -> None:
        """`evaluate` gives the program's numbers for each token, in whatever chunks."""
        prober = self.prober()
        with self.running() as (engine, _):
            for chunk in (None, 1, 7):
                found = engine.evaluate(PROMPTS, "logits", chunk=chunk)
                for prompt, numbers in zip(PROMPTS, found, strict=True):
                    rows = [x for n in range(len(prompt)) for x in scores_of(prompt[: n + 1])]
                    expected = prober.array(rows, (len(prompt), VOCAB))
                    assert array("f", numbers.tobytes()) == array("f", expected.tobytes())

    def test_an_encoder_reads_each_source_once(self) -> None:
        """More requests than fit at once, each with a source: the tokens depend on both, and each
        source is read whole, in one step."""
        sources = [*PROMPTS, tuple(range(40)) * 2]
        starts = [prompt[:9] for prompt in (PROMPTS[3], *PROMPTS)]
        with self.running(encodes=True) as (engine, program):
            streams = [
                engine.submit(Request(start, 6, source=source))
                for source, start in zip(sources, starts, strict=True)
            ]
            for source, start, stream in zip(sources, starts, streams, strict=True):
                assert tokens(stream) == greedy_of([*source, BETWEEN, *start], 6)
            read = sorted(count for counts in program.encoded for count in counts)
            assert read == sorted(len(source) for source in sources)
            assert max(sum(counts) for counts in program.encoded) <= self.sizes.context
            assert raises(RequestError, engine, Request((1,), 1)), "without a source"
        with self.running() as (engine, _):
            assert raises(RequestError, engine, Request((1,), 1, source=(1,)))

    def test_a_sink_gets_what_a_stream_gets(self) -> None:
        """Given a sink, the events go there, in order, in the engine's thread."""
        got: list[TokenEvent] = []
        with self.running() as (engine, _):
            engine.submit(Request(PROMPTS[2], 5), got.append)
            engine.close(drain=True)
        assert tokens(got) == greedy_of(PROMPTS[2], 5)
        assert got[-1].finish == "length"

    def test_cancelling_ends_one_request(self) -> None:
        """A cancelled stream ends with `cancelled`, and the others go on."""
        with self.running() as (engine, _):
            first = engine.submit(Request(PROMPTS[0], 90))
            other = engine.submit(Request(PROMPTS[1], 20))
            first.cancel()
            assert list(first)[-1].finish in ("cancelled", "length")
            assert tokens(other) == greedy_of(PROMPTS[1], 20)

    def test_closing_ends_all_and_draining_lets_them_finish(self) -> None:
        """After `close` every stream has an end, and new requests are an EngineError."""
        for drain, ends in ((False, {"cancelled", "length"}), (True, {"length"})):
            with self.running() as (engine, _):
                streams = [engine.submit(Request(prompt, 30)) for prompt in PROMPTS]
                engine.close(drain=drain)
                assert {list(stream)[-1].finish for stream in streams} <= ends
                assert raises(EngineError, engine, Request((1,), 1))
                assert not engine.stats().alive

    def test_impossible_requests_are_refused(self) -> None:
        """No ids, ids that the vocabulary does not have, a prompt as long as the context."""
        with self.running() as (engine, _):
            for ids in ((), (VOCAB,), (-1,), (1,) * self.sizes.context):
                assert raises(RequestError, engine, Request(ids, 1)), ids
            assert tokens(engine.submit(Request((1,), 2))) == greedy_of((1,), 2)

    def test_when_the_program_fails_every_stream_ends(self) -> None:
        """With `error`; the engine is then dead, says so, and takes no more requests."""
        with self.running() as (engine, program):
            program.fail_at = 3
            streams = [engine.submit(Request(PROMPTS[0], 30))]
            for prompt in PROMPTS[1:]:
                with suppress(EngineError):  # it may be dead by now
                    streams.append(engine.submit(Request(prompt, 30)))
            for stream in streams:
                last = list(stream)[-1]
                assert last.finish == "error"
                assert last.error
            assert raises(EngineError, engine, Request((1,), 1))
            assert not engine.stats().alive


def tokens(events: Iterable[TokenEvent]) -> list[int]:
    return [event.token for event in events if event.token is not None]


def raises(kind: type[Exception], engine: Engine, request: Any) -> bool:
    try:
        engine.submit(request)
    except kind:
        return True
    return False
