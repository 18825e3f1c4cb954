"""`inferflow inspect --graph`: a picture that says what the checkpoint says."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import tiny_llama
from inferflow_server.drawing.folding import folded
from inferflow_server.drawing.network import picture
from safetensors.numpy import load_file, save_file

from inferflow_core.block import FFN, Layer, Mixer, Norm, Scope
from inferflow_core.catalog import Catalog
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor

SVG = "{http://www.w3.org/2000/svg}"
Draw = Callable[..., ElementTree.Element]
EXAMPLE = Path(__file__).resolve().parents[2] / "plugins" / "inferflow-plugin-example"


@dataclass(frozen=True, kw_only=True)
class Beside(Layer):
    """x + tanh((mixer(norm(x)) + ffn(norm(x))) * 0.5)"""

    mixer: Mixer
    ffn: FFN
    mixer_norm: Norm

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        y = self.mixer_norm(ops, w.mixer_norm, x, ctx)
        both = self.mixer(ops, w.mixer, y, ctx) + self.ffn(ops, w.ffn, y, ctx)
        return x + ops.tanh(both * 0.5)


@pytest.fixture
def draw(inferflow: Any, tmp_path: Path) -> Draw:
    def draw(model: Path, *options: str) -> ElementTree.Element:
        out = tmp_path / "network.svg"
        done = inferflow("inspect", str(model), "--graph", str(out), *options)
        assert (done.code, done.out) == (0, ""), done.err
        assert f"Wrote {out}" in done.err
        return ElementTree.fromstring(out.read_text("utf-8"))

    return draw


def texts(svg: ElementTree.Element) -> list[str]:
    """Every text as it is read, its parts joined."""
    return ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]


def heights(svg: ElementTree.Element) -> dict[str, float]:
    """Path of a block -> the y of its box, within what it stands in."""
    found: dict[str, float] = {}
    for moved in svg.iter(f"{SVG}g"):
        title = moved.findtext(f"{SVG}g/{SVG}title")
        if title is not None:
            y = moved.attrib["transform"].removesuffix(")").split()[1]
            found[title.partition(":")[0]] = float(y)
    return found


def without(checkpoint: Path, folder: Path, word: str) -> Path:
    """A copy that lacks the tensors with a word in their names."""
    shutil.copytree(checkpoint, folder)
    tensors = load_file(folder / "model.safetensors")
    kept = {name: values for name, values in tensors.items() if word not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return folder


def layers_of(folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tiny_llama, "LAYERS", count)
    return tiny_llama.write_checkpoint(folder / f"layers{count}")


def test_what_is_drawn(draw: Draw, tiny: Path) -> None:
    svg = draw(tiny / "checkpoint")
    shown = texts(svg)
    assert shown[:2] == [
        "checkpoint",
        "llama · decoder_only · 121,152 parameters (121k) · context 2,048",
    ]
    for line in [
        "× 2",
        "pre_norm  layers.0-1",
        "37k each",
        "heads 4 · kv_heads 2",
        "q 64×64 · k 32×64 · v 32×64 · o 64×64",
        "cache a token: keys 2×16 · values 2×16",
        "gated_mlp   hidden 128 · act silu",
        "token ids T",
        "R × 64",
        "logits",
    ]:
        assert line in shown
    assert shown.count("+") == 2, "the sums of both residual branches"
    assert len([text for text in shown if text.startswith("attention")]) == 1
    box = svg.attrib["viewBox"].split()
    assert box[2:] == [svg.attrib["width"], svg.attrib["height"]]


def test_it_is_the_same_each_time_and_needs_nothing(
    inferflow: Any, tiny: Path, tmp_path: Path
) -> None:
    for name in ("one.svg", "two.SVG"):
        done = inferflow("inspect", str(tiny / "model.gguf"), "--graph", str(tmp_path / name))
        assert done.code == 0
    picture = (tmp_path / "one.svg").read_bytes()
    assert picture == (tmp_path / "two.SVG").read_bytes()
    assert picture.count(b"http") == 1, "the name space and no address"
    assert not re.search(rb"<script|<image|<foreignObject|@import|url\([^#]|\bon\w+=", picture)
    assert b"prefers-color-scheme:dark" in picture


def test_layers_that_take_turns_are_a_group(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two with a window and one without, twice, and two more."""
    window = "model.layer.mixer.window={case={every=3},of={true=64,false=128}}"
    shown = texts(draw(layers_of(tmp_path, 8, monkeypatch), "--set", window))
    names = [text for text in shown if text.startswith("pre_norm")]
    assert names == ["pre_norm  layers.0-1, 3-4", "pre_norm  layers.2, 5", "pre_norm  layers.6-7"]
    assert shown.count("× 2") == 3, "the first two, the group, the last two"
    turns = "model.layer.mixer.window={case={every=2},of={true=64,false=128}}"
    shown = texts(draw(layers_of(tmp_path, 10, monkeypatch), "--set", turns))
    assert [text for text in shown if text.startswith("× ")] == ["× 5"]
    assert "pre_norm  layers.0, 2, …, 8" in shown


def test_layers_of_several_formats_are_equal_and_all_formats_are_told() -> None:
    def layer(number: int, window: int, format: str) -> dict[str, Any]:
        weight = {"shape": [4, 4], "formats": [format]}
        empty: dict[str, Any] = {"params": {}, "children": [], "repeat": 1, "fields": {}}
        mixer = empty | {"kind": "mixer", "entry": "x", "params": {"q.weight": weight}}
        mixer |= {"path": f"layers.{number}.mixer", "fields": {"window": window}}
        about = {"kind": "layer", "entry": "y", "path": f"layers.{number}", "children": [mixer]}
        return empty | about

    formats = ("q4_k", "q4_k", "q6_k", "q4_k")
    groups = folded([layer(i, i % 2, format) for i, format in enumerate(formats)])
    assert [(group.times, group.names()) for group in groups] == [
        (2, ["layers.0, 2", "layers.1, 3"])
    ]
    told = [node["children"][0]["params"]["q.weight"]["formats"] for node in groups[0].shown]
    assert told == [["q4_k", "q6_k"], ["q4_k"]]


def test_what_all_layers_share_stands_beside_them(draw: Draw, tiny: Path) -> None:
    shared = ['model.position={use="rope",theta=500.0}', "model.layer.mixer.position=${none}"]
    svg = draw(tiny / "checkpoint", *[part for each in shared for part in ("--set", each)])
    assert [text for text in texts(svg) if text.startswith("rope")] == ["rope   theta 500"]
    rows = heights(svg)
    assert {"position", "layers.0-1"} <= rows.keys()
    assert rows["embed"] < rows["norm"]


def test_a_tied_head(draw: Draw, tiny: Path, tmp_path: Path) -> None:
    svg = draw(tiny / "checkpoint")
    assert not svg.findall(f".//{SVG}path[@class='tied']")
    folder = without(tiny / "checkpoint", tmp_path / "tied", "lm_head")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    svg = draw(folder)
    assert "weight = embed.tokens.weight" in texts(svg)
    assert len(svg.findall(f".//{SVG}path[@class='tied']")) == 1


def test_an_encoder_and_a_decoder(draw: Draw, shared: Path) -> None:
    """Beside each other; what the encoder gives leads to the block that keeps it."""
    svg = draw(shared / "oracles" / "families" / "m2m100_418m" / "model")
    shown = texts(svg)
    assert [text for text in shown if text in ("encode", "step")] == ["encode", "step"]
    assert "pre_norm  encoder.layers.0-2" in shown
    assert "pre_norm  decoder.layers.0-1" in shown
    assert "tokens.weight = encoder.embed.tokens.weight" in shown
    assert len(svg.findall(f".//{SVG}path[@class='cross']")) == 1
    assert "attention  cross" in shown
    assert shown.index("encode") < shown.index("pre_norm  encoder.layers.0-2") < shown.index("step")


def test_the_heads_of_an_encoder(draw: Draw, shared: Path) -> None:
    svg = draw(shared / "oracles" / "families" / "bert_base_multilingual_cased" / "model")
    shown = texts(svg)
    heads = {"heads.mlm": "mlm_head", "heads.pooled": "pooler", "heads.nsp": "classifier"}
    for path, entry in heads.items():
        assert any(text.startswith(f"{entry}  {path}") for text in shown)
    assert {"hidden R × 64", "mlm R × 640", "pooled S × 64", "nsp S × 2"} <= set(shown)
    rows = heights(svg)
    assert rows["layers.0-2"] < rows["heads.mlm"] == rows["heads.pooled"] < rows["heads.nsp"]


def test_experts(draw: Draw, shared: Path) -> None:
    """The expert is drawn, though its weights are those of the block around it."""
    shown = texts(draw(shared / "oracles" / "families" / "deepseek_moe_16b_base" / "model"))
    assert "experts 12" in shown
    assert "top_k   k 3" in shown
    assert "gated_mlp  expert   hidden 40 · act silu" in shown
    assert [text for text in shown if text.startswith("pre_norm")] == [
        "pre_norm  layers.0",
        "pre_norm  layers.1-2",
    ]


def test_names_of_strangers_are_text(draw: Draw, tiny: Path, tmp_path: Path) -> None:
    name = "</text><script>alert('1')</script>&quot; \x1b[2J\ufffe"
    folder = tmp_path / name.replace("/", "-")
    shutil.copytree(tiny / "checkpoint", folder)
    svg = draw(folder)
    assert not list(svg.iter(f"{SVG}script"))
    title = texts(svg)[0]
    assert title.startswith("<-text><script>alert('1')<-script>&quot; ")
    assert r"\x1b[2J\ufffe" in title


def test_a_block_of_a_third_party(
    draw: Draw,
    installs: Callable[[Path], None],
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not EXAMPLE.is_dir():
        pytest.skip("these tests were copied out of their checkout")
    shutil.copytree(EXAMPLE, tmp_path / "example")
    installs(tmp_path / "example")
    monkeypatch.syspath_prepend(tmp_path / "example")
    norm = 'model.norm={use="example.scaled_norm",scale=0.5}'
    try:
        svg = draw(tiny / "checkpoint", "--set", norm)
    finally:
        for module in [name for name in sys.modules if name.startswith("inferflow_plugin_ex")]:
            del sys.modules[module]
    assert "example.scaled_norm   scale 0.5" in texts(svg)


def test_a_layer_of_a_third_party_is_drawn_as_it_computes(tiny: Path, tmp_path: Path) -> None:
    """Its own ops between its blocks are seen, though nobody has heard of it."""
    folder = without(tiny / "checkpoint", tmp_path / "beside", "post_attention_layernorm")
    catalog = Catalog()
    catalog.add("layer", "xyz.beside", Beside)
    layer = {
        "use": "xyz.beside",
        "mixer_norm": "${model.norm}",
        "mixer": {"use": "attention", "heads": 4, "kv_heads": 2},
        "ffn": {"use": "gated_mlp", "hidden": 128, "act": "silu"},
    }
    engine = catalog.get("engine", "continuous")
    found = engine.describe(folder, catalog=catalog, set={"model.layer": layer})
    assert found.trouble is None
    svg = ElementTree.fromstring(picture(found.report | {"name": "beside"}))
    shown = texts(svg)
    assert [text for text in shown if text in ("+", "× 0.5", "tanh")] == ["+", "× 0.5", "tanh", "+"]
    rows = heights(svg)
    assert rows["layers.0-1.mixer"] == rows["layers.0-1.ffn"], "they stand beside each other"
    assert rows["layers.0-1.mixer"] > rows["layers.0-1.mixer_norm"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["checkpoint", "--graph", "network.png"], 2, ["network.png", "--graph network.svg"]),
        (["checkpoint", "--graph", "no/network.svg"], 2, ["cannot write"]),
        (["mistral", "--graph", "network.svg"], 6, ["no numbers to draw"]),
        (
            ["checkpoint", "--set", "model.layer.ffn.hidden=7", "--graph", "network.svg"],
            5,
            ["layers.0.ffn"],
        ),
    ],
)
def test_what_cannot_be_drawn(
    inferflow: Any,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    code: int,
    words: list[str],
) -> None:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    done = inferflow("inspect", *options)
    assert (done.code, done.out) == (code, "")
    assert all(word in done.err for word in words), done.err
    assert not list(tmp_path.glob("network.*"))
