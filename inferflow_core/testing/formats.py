"""Suite of formats."""

from __future__ import annotations

import random
from array import array
from typing import ClassVar

from inferflow_core.interfaces import Format
from inferflow_core.testing.registered import EntrySuite


class FormatSuite(EntrySuite):
    """Give `name` and `tolerance`: the largest error of packing and unpacking normal numbers, as a
    share of the largest number."""

    kind: ClassVar[str] = "format"
    tolerance: ClassVar[float]
    packs: ClassVar[bool] = True
    """False where the format is read only."""

    def make(self) -> Format:
        return self.entry()()

    def numbers(self) -> tuple[list[float], tuple[int, int]]:
        """Three rows of two blocks of normal numbers."""
        shape = (3, 2 * self.make().block)
        rng = random.Random(0)
        numbers = array("f", (rng.gauss(0, 1) for _ in range(shape[0] * shape[1])))
        return numbers.tolist(), shape

    def test_block_sizes(self) -> None:
        """It has the name under which it is registered, and blocks of some size."""
        made = self.make()
        assert made.name == self.name
        assert min(made.block, made.block_bytes) > 0

    def test_packs_to_the_size_it_says(self) -> None:
        """Packed numbers take `block_bytes` for each `block`."""
        if not self.packs:
            return
        made, (numbers, shape) = self.make(), self.numbers()
        packed = made.pack(self.prober().array(numbers, shape))
        assert packed.nbytes == len(numbers) // made.block * made.block_bytes

    def test_round_trip(self) -> None:
        """Unpacking what was packed gives the numbers again, within `tolerance`."""
        if not self.packs:
            return
        made, (numbers, shape) = self.make(), self.numbers()
        values = self.prober().array(numbers, shape)
        back = made.unpack(made.pack(values), shape)
        assert (back.shape, str(back.dtype)) == (shape, "float32")
        result = array("f", back.tobytes())
        worst = max(abs(a - b) for a, b in zip(numbers, result, strict=True))
        assert worst <= self.tolerance * max(map(abs, numbers))

    def test_rows_unpack_alone(self) -> None:
        """A row's numbers depend on its own bytes."""
        if not self.packs:
            return
        made, (numbers, shape) = self.make(), self.numbers()
        packed = made.pack(self.prober().array(numbers, shape))
        whole = made.unpack(packed, shape)
        row = packed.nbytes // shape[0]
        for i in range(shape[0]):
            alone = made.unpack(packed.reshape(-1)[i * row : (i + 1) * row], (1, shape[1]))
            assert alone.tobytes() == whole[i].tobytes()
