"""classifier: the suite, and the heads of Electra and Bert."""

from typing import Any

import pytest
from eager import Bench, close, dims_of, renamed, vectors
from inferflow_blocks.classifier import Classifier

from inferflow_core.testing import HeadSuite


class TestClassifier(HeadSuite):
    name = "classifier"

    def make(self) -> Classifier:
        return Classifier(classes=3, dense=True)


class TestPlain(HeadSuite):
    name = "classifier"

    def make(self) -> Classifier:
        return Classifier(classes=5, bias=False)


def test_a_dense_layer_and_gelu_are_electras(reference: Any) -> None:
    """Theirs is told the states of the first token; ours which rows to read."""
    bench = Bench(Classifier(classes=3, dense=True), dims_of(24))
    config = reference.config("electra", hidden_size=24, num_attention_heads=4, num_labels=3)
    theirs = reference.code("electra").ElectraClassificationHead(config)
    reference.filled(theirs, renamed(bench.weights, {"": "out_proj", "dense": "dense"}))
    x = vectors(9, 24)
    close(bench.run(x), reference.run(theirs, reference.tensor(x)[:, None]))


def test_a_map_alone_is_berts_next_sentence(reference: Any) -> None:
    bench = Bench(Classifier(classes=2, source="pooler"), dims_of(24))
    config = reference.config("bert", hidden_size=24, num_attention_heads=4)
    theirs = reference.code("bert").BertOnlyNSPHead(config)
    reference.filled(theirs, renamed(bench.weights, {"": "seq_relationship"}))
    x = vectors(9, 24)
    close(bench.run(x), reference.run(theirs, reference.tensor(x)))


def test_what_it_reads() -> None:
    assert Classifier(classes=2).reads() == "rows"
    assert Classifier(classes=2, source="pooler").reads() == "pooler"
    with pytest.raises(ValueError, match="classes is 0"):
        Classifier(classes=0)
