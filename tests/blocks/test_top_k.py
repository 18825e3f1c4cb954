"""top_k: the suite."""

from inferflow_blocks.top_k import TopK

from inferflow_core.testing import RouterSuite


class TestTopK(RouterSuite):
    name = "top_k"

    def make(self) -> TopK:
        return TopK(
            k=3, score="sigmoid", correction=True, groups=4, top_groups=2, group_score="top2"
        )
