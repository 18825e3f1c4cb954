"""sinusoidal: the suite, and the tables of transformers' networks."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of
from inferflow_blocks.sinusoidal import Sinusoidal

from inferflow_core.errors import ShapeError
from inferflow_core.testing import PositionSuite

TOKENS = 100


class TestSinusoidal(PositionSuite):
    name = "sinusoidal"

    def make(self) -> Sinusoidal:
        return Sinusoidal(offset=2, style="fairseq")


class TestInterleaved(PositionSuite):
    name = "sinusoidal"

    def make(self) -> Sinusoidal:
        return Sinusoidal(style="interleaved")


def table(block: Sinusoidal, width: int = 12) -> Any:
    bench = Bench(block, dims_of(width))
    return bench.run(None, lengths=[TOKENS], call=lambda o, w, x, ctx: block.embed(o, w, ctx))


@pytest.mark.parametrize("offset", [0, 2])
def test_fairseq_equals_m2m100(offset: int, reference: Any) -> None:
    made = reference.code("m2m_100").M2M100SinusoidalPositionalEmbedding.get_embedding(
        TOKENS + 2, 12
    )
    close(table(Sinusoidal(style="fairseq", offset=offset)), made[offset : TOKENS + offset])


@pytest.mark.parametrize("offset", [0, 5])
def test_half_equals_marian(offset: int, reference: Any) -> None:
    made = reference.code("marian").MarianSinusoidalPositionalEmbedding(TOKENS + 5, 12)
    close(table(Sinusoidal(offset=offset)), made.create_weight()[offset : TOKENS + offset])


def test_interleaved_equals_xlm(reference: Any) -> None:
    made = reference.torch.empty(TOKENS, 12)
    reference.code("xlm").create_sinusoidal_embeddings(TOKENS, 12, made)
    close(table(Sinusoidal(style="interleaved")), made)


def test_interleaved_is_the_papers_formula() -> None:
    """PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i + 1) = cos of the same."""
    found = table(Sinusoidal(style="interleaved"), 8)
    for pos in (0, 1, 7, 99):
        for i in range(4):
            angle = pos / 10000 ** (2 * i / 8)
            assert np.allclose(
                found[pos, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-5
            )


def test_widths_without_pairs() -> None:
    with pytest.raises(ShapeError, match="even width, not 7"):
        table(Sinusoidal(), 7)
    with pytest.raises(ShapeError, match="two pairs"):
        table(Sinusoidal(style="fairseq"), 2)
    with pytest.raises(ValueError, match="offset is -1"):
        Sinusoidal(offset=-1)
