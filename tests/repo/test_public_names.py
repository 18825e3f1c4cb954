"""What may be imported from where is a promise; it changes here or not at all."""

import inferflow_core
from inferflow_core import spec, testing

PUBLIC = {
    inferflow_core: {"__version__", "load"},
    spec: {
        *("Plan", "Run", "Spec", "check", "find_family", "parse_spec", "read_spec", "resolve"),
        *("show", "to_json"),
    },
    testing: {
        *("BackendSuite", "BlockSuite", "EmbeddingSuite", "FFNSuite", "FormatSuite", "HeadSuite"),
        *("LayerSuite", "LoaderSuite", "MixerSuite", "ModelSuite", "NamesSuite", "NormSuite"),
        *("EngineSuite", "HookSuite", "KernelSuite", "OpSuite"),
        *("PositionSuite", "RouterSuite", "SamplerSuite", "SourceSuite", "SpecSuite"),
        *("TokenizerSuite",),
    },
}


def test_public_names_are_these():
    for module, names in PUBLIC.items():
        assert set(module.__all__) == names, module.__name__
        assert len(module.__all__) == len(names)
        assert all(hasattr(module, name) for name in names)
