"""token_embedding: the suite, and the order of its parts."""

import numpy as np
import pytest
from inferflow_backends.numpy.prober import random_weights
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.testing import EmbeddingSuite
from inferflow_core.testing.probe import probe


class TestTokenEmbedding(EmbeddingSuite):
    name = "token_embedding"

    def make(self) -> TokenEmbedding:
        return TokenEmbedding(
            width=20, project="tokens", project_bias=True, scale=3.0, types=2, norm=RMSNorm()
        )


class TestPlain(EmbeddingSuite):
    name = "token_embedding"

    def make(self) -> TokenEmbedding:
        return TokenEmbedding()


@pytest.mark.parametrize("project", ["tokens", "sum"])
def test_order(project: str) -> None:
    block = TokenEmbedding(width=20, project=project, scale=2.0, types=1, norm=RMSNorm())
    model = probe(block, hidden=32, vocab=40)
    w = {k.removeprefix("block."): v.values() for k, v in random_weights(model, 0).items()}
    y = w["tokens.weight"][[3, 4]] * 2
    if project == "tokens":
        y = y @ w["project.weight"].T
    y = y + w["types.weight"][0]
    y = y / np.sqrt((y * y).mean(-1, keepdims=True) + 1e-5) * w["norm.weight"]
    if project == "sum":
        y = y @ w["project.weight"].T
    found = np.frombuffer(TestPlain().prober().run(model, [[3, 4]])[0], np.float32)
    assert np.allclose(found.reshape(2, 32), y, atol=1e-5)
