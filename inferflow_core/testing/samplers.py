"""Suite of samplers."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any, ClassVar

from inferflow_core.interfaces import RankedSampler, Sampler, SampleStep
from inferflow_core.testing.registered import EntrySuite


class SamplerSuite(EntrySuite):
    """Give `name` and `make`, a sampler whose fields have values that do something. It is tried
    on `rows` rows of `vocab` random logits."""

    kind: ClassVar[str] = "sampler"
    vocab: ClassVar[int] = 50
    rows: ClassVar[int] = 5

    def make(self) -> Sampler:
        """A sampler whose fields have values that do something."""
        raise NotImplementedError

    def fields(self) -> dict[str, float]:
        """Field -> value."""
        sampler: Any = self.make()
        return {f.name: getattr(sampler, f.name) for f in dataclasses.fields(sampler)}

    def run(self, rows: list[int]) -> Any:
        """The sampler on some of the fixed rows."""
        prober, rng = self.prober(), random.Random(0)
        numbers = [[rng.gauss(0, 3) for _ in range(self.vocab)] for _ in range(self.rows)]
        histories = [[(i * 7 + n) % self.vocab for i in range(n + 2)] for n in range(self.rows)]
        logits = prober.array([x for row in rows for x in numbers[row]], (len(rows), self.vocab))
        columns = {
            name: prober.array([value] * len(rows), (len(rows),)).astype("float64")
            for name, value in self.fields().items()
        }
        step = SampleStep([histories[row] for row in rows], [1] * len(rows))
        return self.make()(logits, columns, step)

    def test_fields_are_numbers_with_defaults(self) -> None:
        """Each field is a number with a default: a request may override it by its name."""
        sampler: Any = self.make()
        for item in dataclasses.fields(sampler):
            assert item.default is not dataclasses.MISSING, f"{item.name} has no default"
            assert isinstance(item.default, int | float)

    def test_keeps_the_shape_and_leaves_a_choice(self) -> None:
        """No row becomes a NaN or loses its last token."""
        result = self.run(list(range(self.rows)))
        assert result.shape == (self.rows, self.vocab)
        for row in result.tolist():
            assert not any(math.isnan(x) for x in row)
            assert any(x > -math.inf for x in row)

    def test_a_row_depends_on_itself_alone(self) -> None:
        """A row gets the same bits alone, among others, and in another order."""
        together = self.run(list(range(self.rows)))
        for row in range(self.rows):
            assert self.run([row])[0].tobytes() == together[row].tobytes()
        assert self.run([3, 1])[0].tobytes() == together[3].tobytes()

    def test_keeps_what_reach_promises(self) -> None:
        """A row's largest logits alone, with their ids, become what they become among all; and
        what `reach` leaves out is ruled out."""
        sampler, fields = self.make(), self.fields()
        if not isinstance(sampler, RankedSampler):
            return
        reach = sampler.reach(fields)
        prober, rng = self.prober(), random.Random(1)
        for row in range(self.rows):
            numbers = [float(rng.randrange(-40, 40)) / 8 for _ in range(self.vocab)]
            count = int(reach) if 0 < reach < math.inf else self.vocab // 2
            floor = sorted(numbers, reverse=True)[min(count, self.vocab) - 1]
            ids = [i for i, x in enumerate(numbers) if x >= floor]
            if reach == 0:
                numbers = [x if x >= floor else -math.inf for x in numbers]
            padded = [*(numbers[i] for i in ids), -math.inf]
            columns = {k: prober.array([v], (1,)).astype("float64") for k, v in fields.items()}
            history = [[(i * 5 + row) % self.vocab for i in range(9)]]
            whole = prober.array(numbers, (1, self.vocab))
            among = sampler(whole, columns, SampleStep(history, [1]))
            tokens = prober.array([*ids, 0], (1, len(padded))).astype("int64")
            alone = sampler(
                prober.array(padded, (1, len(padded))), columns, SampleStep(history, [1], tokens)
            )
            assert alone[0, :-1].tobytes() == among[0, ids].tobytes()
            left = [i for i, x in enumerate(among[0].tolist()) if x > -math.inf]
            assert reach == math.inf or set(left) <= set(ids)

    def test_refuses_a_value_that_is_no_number(self) -> None:
        """`check` says what is wrong with a NaN, field by field."""
        for name in self.fields():
            assert self.make().check({**self.fields(), name: math.nan})
