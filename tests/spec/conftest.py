"""A small world for specs: a catalog of fake plugins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from inferflow_core.block import FFN, Act, Head, Layer, Mixer, Model, Norm, Position, layers_field
from inferflow_core.catalog import Catalog, Entry
from inferflow_core.table import Table


@dataclass(frozen=True, kw_only=True)
class ToyNorm(Norm):
    eps: float = 1e-5
    unit_offset: bool = False


@dataclass(frozen=True, kw_only=True)
class ToyRope(Position):
    theta: float = 10000.0
    scaling: Table | None = None
    style: Literal["half", "pairs"] = "half"


@dataclass(frozen=True, kw_only=True)
class ToyAlibi(Position):
    max_bias: float = 8.0


@dataclass(frozen=True, kw_only=True)
class ToyMixer(Mixer):
    heads: int
    window: int | None = None
    position: Position | None = None

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise ValueError(f"heads is {self.heads}; it must be 1 or more")


@dataclass(frozen=True, kw_only=True)
class ToyFFN(FFN):
    act: Act
    hidden: int | None = None
    inner: FFN | None = None


@dataclass(frozen=True, kw_only=True)
class ToyLayer(Layer):
    mixer: Mixer
    ffn: FFN
    norm: Norm | None = None


@dataclass(frozen=True, kw_only=True)
class ToyHead(Head):
    tied: bool | Literal["auto"] = "auto"


@dataclass(frozen=True, kw_only=True)
class ToyStack:
    layers: tuple[Layer, ...] = layers_field()
    norm: Norm | None = None


@dataclass(frozen=True, kw_only=True)
class Toy(Model):
    layers: tuple[Layer, ...] = layers_field()
    norm: Norm | None = None
    heads: Mapping[str, Head] = Table({})
    encoder: ToyStack | None = None


@dataclass(frozen=True, kw_only=True)
class Top:
    """A fake sampler."""

    api: ClassVar[int] = 1
    limit: float = 1.0

    def check(self, values: Mapping[str, float]) -> str:
        return "" if values["limit"] > 0 else "limit must be above 0"


@pytest.fixture
def toys() -> Catalog:
    """Fake blocks, samplers and names, and two plugins in a bad way (`xyz.*`)."""
    broken = [
        Entry("norm", "xyz.broken", "no_such_module_xyz:Norm", "inferflow-plugin-xyz", "0.3"),
        Entry("norm", "xyz.twice", "a:B", "inferflow-plugin-xyz", "0.3"),
        Entry("norm", "xyz.twice", "c:D", "inferflow-plugin-other", "1.0"),
    ]
    catalog = Catalog(broken, disabled=())
    for kind, name, cls in (
        ("model", "toy", Toy),
        ("norm", "rms_norm", ToyNorm),
        ("position", "rope", ToyRope),
        ("position", "alibi", ToyAlibi),
        ("mixer", "attention", ToyMixer),
        ("ffn", "mlp", ToyFFN),
        ("layer", "pre_norm", ToyLayer),
        ("head", "linear_head", ToyHead),
    ):
        catalog.add(kind, name, cls)
    for name in ("greedy", "temperature", "top_k", "tfs", "typical", "top_p", "min_p", "fsd"):
        catalog.add("sampler", name, Top)
    for kind, names in {
        "names": ("hf_llama", "gguf", "llama2c"),
        "loader": ("safetensors", "gguf"),
        "tokenizer": ("tokenizer_json",),
        "backend": ("numpy", "cpu"),
        "engine": ("continuous",),
    }.items():
        for name in names:
            catalog.add(kind, name, object())
    return catalog


@pytest.fixture
def add_spec(toys: Catalog, tmp_path: Path) -> Callable[[str, str], None]:
    """Registers a spec's text under a name."""

    def add(name: str, text: str) -> None:
        file = tmp_path / f"{name}.toml"
        file.write_text(text, "utf-8")
        toys.add("spec", name, file)

    return add
