"""A stack's position is that of its mixers, and of nobody else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from eager import Bench
from inferflow_blocks.alibi import Alibi
from inferflow_blocks.attention import Attention
from inferflow_blocks.decoder_only import DecoderOnly
from inferflow_blocks.encoder_decoder import EncoderDecoder
from inferflow_blocks.linear_head import LinearHead
from inferflow_blocks.mla import MLA
from inferflow_blocks.mlp import MLP
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.relative_bias import RelativeBias
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.block import Mixer, Position, all_params
from inferflow_core.catalog import Catalog
from inferflow_core.errors import ShapeError
from inferflow_core.optable import OpTable
from inferflow_core.stack import Stack
from inferflow_core.tracer import trace

ATTENTION = Attention(heads=4)
LATENT = MLA(heads=4, kv_rank=6, nope_dim=4, rope_dim=4, v_dim=5, norm=RMSNorm())
IDS = np.arange(9)


def model(*mixers: Mixer, position: Position | None = None) -> DecoderOnly:
    return DecoderOnly(
        hidden=16,
        vocab=20,
        embed=TokenEmbedding(),
        layers=tuple(PreNorm(mixer=mixer, ffn=MLP(act="relu")) for mixer in mixers),
        position=position,
        head=LinearHead(tied=True),
    )


def logits(network: DecoderOnly) -> Any:
    return Bench(network, network.dims(64)).entry("step", IDS, lengths=[9])["logits"]


@pytest.mark.parametrize("mixer", [ATTENTION, LATENT], ids=["attention", "mla"])
@pytest.mark.parametrize("position", [Rope(), Alibi()], ids=["rope", "alibi"])
def test_one_position_for_all_is_the_same_one_for_each(mixer: Any, position: Position) -> None:
    shared = logits(model(mixer, mixer, position=position))
    each = replace(mixer, position=position)
    assert np.array_equal(shared, logits(model(each, each)))
    assert not np.array_equal(shared, logits(model(mixer, mixer)))


def test_a_mixers_own_position_counts() -> None:
    own = replace(ATTENTION, position=Rope())
    assert np.array_equal(logits(model(own, own, position=Alibi())), logits(model(own, own)))


def test_a_shared_table_has_the_heads_of_the_mixers() -> None:
    bias = RelativeBias(buckets=8, max_distance=20)
    network = model(ATTENTION, ATTENTION, position=bias)
    assert all_params(network, network.dims(64))["position.weight"].shape == (4, 8)


def test_mixers_of_other_heads_cannot_share_it() -> None:
    bias = RelativeBias(buckets=8, max_distance=20)
    network = model(ATTENTION, Attention(heads=2), position=bias)
    with pytest.raises(ShapeError, match=r"scores is \[4,C\]; it must be \[2,C\].* at layers\.1"):
        trace(network, network.dims(64), OpTable(Catalog([])))


def test_cross_does_not_use_it() -> None:
    """An encoder's tokens have no distance from the decoder's."""

    def states(position: Position | None) -> Any:
        reads = PreNorm(mixer=replace(ATTENTION, causal=False), ffn=MLP(act="relu"))
        writes = PreNorm(mixer=replace(ATTENTION, window=1), cross=ATTENTION, ffn=MLP(act="relu"))
        network = EncoderDecoder(
            hidden=16,
            vocab=20,
            encoder=Stack(embed=TokenEmbedding(), layers=(reads,)),
            decoder=Stack(embed=TokenEmbedding(), layers=(writes,), position=position),
            head=LinearHead(tied=True),
        )
        bench = Bench(network, network.dims(64))
        bench.entry("encode", IDS, lengths=[9])
        return bench.entry("step", IDS, lengths=[9], source=[9])["logits"]

    # A window of one token: its own mixers see no distance either.
    assert np.allclose(states(None), states(Rope()), atol=1e-5)
    assert np.array_equal(states(None), states(Alibi()))
