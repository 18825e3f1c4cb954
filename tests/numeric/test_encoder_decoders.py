"""Encoder-decoder checkpoints against the stored results of their references."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from inferflow_loaders.pickle import PickleLoader
from oracles import TOLERANCE, numbered
from safetensors.numpy import save_file

import inferflow_core
from inferflow_core.interfaces import Request

NETWORK = "encoder_decoder"


def test_states_of_the_encoder_and_logits(opened: Any) -> None:
    stored = opened.stored
    numbers = numbered(stored, "enc_ids")
    sources, ids = ([stored[f"{n}_ids_{k}"].tolist() for k in numbers] for n in ("enc", "dec"))
    found = {
        "enc_hidden": opened.model.encode(sources),
        "logits": opened.model.logits(ids, encoder=sources),
    }
    for name, results in found.items():
        for k, result in zip(numbers, results, strict=True):
            expected = stored[f"{name}_{k}"]
            assert result.shape == expected.shape
            assert np.abs(result - expected).max() <= TOLERANCE, (name, k)


def test_hidden_states_of_every_layer(opened: Any) -> None:
    """Stored are the embeddings, the states after each layer but the last, and those after the
    last norm, of both stacks."""
    stored, model = opened.stored, opened.model
    for k in numbered(stored, "enc_hidden_all"):
        source, ids = ([stored[f"{n}_ids_{k}"].tolist()] for n in ("enc", "dec"))
        expected = stored[f"enc_hidden_all_{k}"]
        assert len(expected) == len(model.plan.model.encoder.layers) + 1
        found = [model.encode(source, layer=i)[0] for i in range(len(expected) - 1)]
        assert np.abs([*found, model.encode(source)[0]] - expected).max() <= TOLERANCE
        expected = stored[f"dec_hidden_all_{k}"]
        assert len(expected) == len(model.plan.model.decoder.layers) + 1
        found = [model.hidden(ids, encoder=source, layer=i)[0] for i in range(len(expected) - 1)]
        last = model.hidden(ids, encoder=source)[0]
        assert np.abs([*found, last] - expected).max() <= TOLERANCE


def test_rows_of_a_batch(opened: Any) -> None:
    """The reference pads sources to the right; here they lie ragged beside each other."""
    masks = opened.stored["batch_mask"].astype(bool)
    sources = zip(opened.stored["batch_enc_ids"], masks, strict=True)
    encoder = [row[mask].tolist() for row, mask in sources]
    assert len({len(one) for one in encoder}) > 1
    found = opened.model.logits(opened.stored["batch_dec_ids"].tolist(), encoder=encoder)
    assert np.abs(np.array(found) - opened.stored["batch_logits"]).max() <= TOLERANCE


def test_texts_in_and_texts_out(opened: Any, shared: Path) -> None:
    """From English to French, as the reference was asked."""
    told = shared / "oracles" / "families" / opened.name / "ref" / "reference.json"
    cases = json.loads(told.read_text("utf-8"))["generation"]
    options: dict[str, Any] = {"source_language": "en", "target_language": "fr", "max_tokens": 32}
    for case in cases:
        prompt = opened.model.prompt(case["text"], source_language="en", target_language="fr")
        assert list(prompt.source) == case["prompt_ids"]
        assert list(prompt.ids) == case["decoder_prefix"]
        events = opened.model.generate(
            case["text"], **options, temperature=0.0, ignore_stop_ids=True
        )
        assert "".join(event.text for event in events) == case["decoded"]
    assert len(cases) == 4


def test_a_copy_in_safetensors_is_the_same(opened: Any, shared: Path, tmp_path: Path) -> None:
    """Written here of what the loader of pickles reads, with the table that is stored twice."""
    source = shared / "oracles" / "families" / opened.name / "model"
    checkpoint = PickleLoader().open(source)
    tensors = {
        name: np.asarray(checkpoint.read(name)).view(np.float32).reshape(info.shape)
        for name, info in checkpoint.tensors.items()
    }
    assert {info.format for info in checkpoint.tensors.values()} == {"f32"}
    checkpoint.close()
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    for path in source.glob("*"):
        if path.suffix != ".bin":
            (tmp_path / path.name).symlink_to(path)
    ids, sources = ([opened.stored[f"{n}_ids_0"].tolist()] for n in ("dec", "enc"))
    with inferflow_core.load(tmp_path, backend=opened.backend) as copy:
        (found,) = copy.logits(ids, encoder=sources)
    (expected,) = opened.model.logits(ids, encoder=sources)
    assert found.tobytes() == expected.tobytes()


def test_greedy_tokens(opened: Any, shared: Path) -> None:
    """All at once, each with a source of its own length, after the prefix with the language."""
    told = shared / "oracles" / "families" / opened.name / "ref" / "reference.json"
    prefixes = [run["decoder_prefix"] for run in json.loads(told.read_text("utf-8"))["generation"]]
    sources = [
        opened.stored[f"gen_prompt_{k}"].tolist() for k in numbered(opened.stored, "gen_prompt")
    ]
    runs = [
        opened.model.engine.submit(
            Request(
                ids=tuple(prefix),
                source=tuple(source),
                max_tokens=32,
                sampling={"temperature": 0.0},
                ignore_stop_ids=True,
            )
        )
        for prefix, source in zip(prefixes, sources, strict=True)
    ]
    for k, run in enumerate(runs):
        assert [event.token for event in run] == opened.stored[f"gen_{k}"].tolist(), k
