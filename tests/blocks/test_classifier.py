"""classifier: the suite."""

from inferflow_blocks.classifier import Classifier

from inferflow_core.testing import HeadSuite


class TestClassifier(HeadSuite):
    name = "classifier"

    def make(self) -> Classifier:
        return Classifier(classes=3, dense=True)
