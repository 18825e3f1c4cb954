"""Every sampler keeps the conformance suite, with fields that do something."""

from inferflow_samplers.fsd import FSD
from inferflow_samplers.greedy import Greedy
from inferflow_samplers.min_p import MinP
from inferflow_samplers.temperature import Temperature
from inferflow_samplers.tfs import TFS
from inferflow_samplers.top_k import TopK
from inferflow_samplers.top_p import TopP
from inferflow_samplers.typical import Typical

from inferflow_core.interfaces import Sampler
from inferflow_core.testing import SamplerSuite


class TestGreedy(SamplerSuite):
    name = "greedy"

    def make(self) -> Sampler:
        return Greedy()


class TestTemperature(SamplerSuite):
    name = "temperature"

    def make(self) -> Sampler:
        return Temperature(temperature=0.6)


class TestTopK(SamplerSuite):
    name = "top_k"

    def make(self) -> Sampler:
        return TopK(top_k=7)


class TestTopP(SamplerSuite):
    name = "top_p"

    def make(self) -> Sampler:
        return TopP(top_p=0.8)


class TestMinP(SamplerSuite):
    name = "min_p"

    def make(self) -> Sampler:
        return MinP(min_p=0.1)


class TestTFS(SamplerSuite):
    name = "tfs"

    def make(self) -> Sampler:
        return TFS(tfs_z=0.9)


class TestTypical(SamplerSuite):
    name = "typical"

    def make(self) -> Sampler:
        return Typical(typical_p=0.7)


class TestFSD(SamplerSuite):
    name = "fsd"

    def make(self) -> Sampler:
        return FSD(fsd_k=6, fsd_random=4)
