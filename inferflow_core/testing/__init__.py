"""Conformance suites: one a kind. A plugin's test subclasses the suite of its kind and says what
to make; the suite's tests are the interface's documentation.

    from inferflow_core.testing import NormSuite

    class TestPolyNorm(NormSuite):
        name = "xyz.poly_norm"

        def make(self):
            return PolyNorm(order=2)
"""

from inferflow_core.testing.backends import BackendSuite
from inferflow_core.testing.blocks import (
    BlockSuite,
    EmbeddingSuite,
    FFNSuite,
    HeadSuite,
    LayerSuite,
    MixerSuite,
    ModelSuite,
    NormSuite,
    PositionSuite,
    RouterSuite,
)
from inferflow_core.testing.engines import EngineSuite
from inferflow_core.testing.files import LoaderSuite, NamesSuite, SpecSuite
from inferflow_core.testing.formats import FormatSuite
from inferflow_core.testing.hooks import HookSuite
from inferflow_core.testing.kernels import KernelSuite
from inferflow_core.testing.ops import OpSuite
from inferflow_core.testing.passes import PassSuite
from inferflow_core.testing.samplers import SamplerSuite
from inferflow_core.testing.sources import SourceSuite
from inferflow_core.testing.tokenizers import TokenizerSuite

__all__ = [
    "BackendSuite",
    "BlockSuite",
    "EmbeddingSuite",
    "EngineSuite",
    "FFNSuite",
    "FormatSuite",
    "HeadSuite",
    "HookSuite",
    "KernelSuite",
    "LayerSuite",
    "LoaderSuite",
    "MixerSuite",
    "ModelSuite",
    "NamesSuite",
    "NormSuite",
    "OpSuite",
    "PassSuite",
    "PositionSuite",
    "RouterSuite",
    "SamplerSuite",
    "SourceSuite",
    "SpecSuite",
    "TokenizerSuite",
]
