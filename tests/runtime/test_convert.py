"""`inferflow convert`: the same numbers, text and spec from one file, however the model came."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="the layout is the cpu backend's, which needs numba")

from inferflow_runtime.convert import convert

import inferflow_core
from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError, ModelFileError, UsageError

IDS = [[3, 7, 11, 5, 2], [9, 1]]
LARGE = "inferflow_backends.cpu.memory.CACHED_BYTES"


@pytest.fixture(params=["as float32", "packed"])
def large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of these tests would else all be float32."""
    if request.param == "packed":
        monkeypatch.setattr(LARGE, 0)


def converted(source: Path, folder: Path, **options: Any) -> Path:
    target = folder / "new.safetensors"
    with target.open("wb") as file:
        convert(source, file, catalog=Catalog(), backend="cpu", **options)
    return target


def logits(path: Path, backend: str) -> list[bytes]:
    with inferflow_core.load(path, backend=backend, set=["run.context=64"]) as model:
        return [each.tobytes() for each in model.logits(IDS)]


def same(source: Path, target: Path) -> None:
    for backend in ("cpu", "numpy"):
        assert logits(target, backend) == logits(source, backend), backend


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("source", ["model.gguf", "checkpoint"])
def test_the_same_bits_and_the_same_text(tiny: Path, tmp_path: Path, source: str) -> None:
    target = converted(tiny / source, tmp_path)
    same(tiny / source, target)
    messages = [{"role": "user", "content": "the sky <|im_end|>"}]
    answers: list[Any] = []
    for path in (tiny / source, target):
        with inferflow_core.load(path, backend="numpy") as model:
            ids = model.tokenizer.encode_chat(messages)
            text = [event.text for event in model.generate(messages, max_tokens=5, seed=1)]
            answers.append((ids, text, model.tokenizer.stop_ids, model.engine.context))
    assert answers[0] == answers[1]


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    "name",
    [
        *(f"formats/gguf_llama/tiny-llama-{each}.gguf" for each in ("q4_0", "q8_0", "f16")),
        *(f"formats/gguf_kquants/tiny256-{each}.gguf" for each in ("q2_k", "q3_k_m", "q5_k_m")),
        "formats/gguf_kquants/tiny256-iq4_nl.gguf",
        "families/mixtral_8x7b/model",
        "formats/llama2c_shared/model.bin",
    ],
)
def test_formats_and_families(shared: Path, tmp_path: Path, name: str) -> None:
    same(shared / "oracles" / name, converted(shared / "oracles" / name, tmp_path))


def test_an_encoder_decoder_and_an_encoder(tiny: Path, tmp_path: Path) -> None:
    translator, encoder = tiny / "translator", tiny / "encoder"
    target = converted(translator, tmp_path)
    answers: list[Any] = []
    for path in (translator, target):
        with inferflow_core.load(path, backend="numpy", set=["run.context=32"]) as model:
            answers.append([each.tobytes() for each in model.encode(IDS)])
    assert answers[0] == answers[1]
    target = converted(encoder, tmp_path)
    vectors: list[Any] = []
    for path in (encoder, target):
        with inferflow_core.load(path, backend="numpy") as model:
            vectors.append(model.embed(["sky", "sea and wind"]))
    assert np.array_equal(*vectors)


def test_what_is_set_is_in_the_spec(tiny: Path, tmp_path: Path) -> None:
    target = converted(tiny / "model.gguf", tmp_path, set=["run.context=48"])
    with inferflow_core.load(target, backend="numpy") as model:
        assert model.engine.context == 48
        assert model.plan.run.backend == "numpy"
    with pytest.raises(UsageError, match="converted already"):
        converted(target, tmp_path / "..")


def test_weights_are_mapped_not_copied(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LARGE, 0)
    target = converted(tiny / "model.gguf", tmp_path)
    monkeypatch.setattr("inferflow_backends.cpu.memory.packing", None)
    before = target.read_bytes()
    assert logits(target, "cpu")
    assert target.read_bytes() == before


def test_a_backend_without_a_layout_is_refused(tiny: Path, tmp_path: Path) -> None:
    with (tmp_path / "new").open("wb") as file, pytest.raises(InferflowError, match="no layout"):
        convert(tiny / "model.gguf", file, catalog=Catalog(), backend="numpy")


def cut(data: bytes) -> bytes:
    return data[:-100]


def changed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """The first place, with texts of equal length."""
    assert len(old) == len(new)
    return lambda data: data.replace(old, new, 1)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "cut short"),
        (changed(b'"inferflow":"1"', b'"inferflow":"9"'), "convert the model again"),
        (changed(b"cpu.1", b"cpu.9"), "layout"),
        (changed(b"cpu.1", b"cpx.1"), "layout"),
        (changed(b'"f32\\"', b'"f16\\"'), "does not have"),
        (changed(b'\\"bytes\\": ', b'\\"bytes\\":9'), "no room"),
        (changed(b'\\"shape\\": [', b'\\"shape\\":9['), "not JSON"),
        (changed(b"files/gguf.json", b"files/gguf.jsox"), "gguf"),
        (changed(b'"source":', b'"sourca":'), "no text 'source'"),
    ],
)
def test_a_spoilt_file_is_refused(
    tiny: Path, tmp_path: Path, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    target = converted(tiny / "model.gguf", tmp_path)
    before = target.read_bytes()
    target.write_bytes(spoil(before))
    assert target.read_bytes() != before
    with pytest.raises(ModelFileError) as error:
        logits(target, "cpu")
    assert reason in f"{error.value.message} {error.value.hint}"


def test_no_file_leads_out_of_its_folder(tiny: Path, tmp_path: Path) -> None:
    target = converted(tiny / "checkpoint", tmp_path)
    data = target.read_bytes()
    old, new = b"tokenizer.json", b"../../okn.json"
    target.write_bytes(
        data.replace(b"files/" + old, b"files/" + new).replace(
            json.dumps(old.decode()).encode().replace(b'"', b'\\"'),
            json.dumps(new.decode()).encode().replace(b'"', b'\\"'),
        )
    )
    with pytest.raises(ModelFileError, match="not the name of a file"):
        logits(target, "numpy")


def test_the_file_stands_alone(tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "checkpoint"
    shutil.copytree(tiny / "checkpoint", copy)
    target = converted(copy, tmp_path)
    shutil.rmtree(copy)
    with inferflow_core.load(target, backend="numpy") as model:
        assert model.tokenizer.decode(model.tokenizer.encode("the sky")) == "the sky"
