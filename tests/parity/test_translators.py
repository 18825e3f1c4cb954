"""Texts in and texts out of encoder-decoders, against `transformers` with the same ids."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_m2m
from checkpoints import save, torch
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    T5Config,
    T5ForConditionalGeneration,
)

import inferflow_core

TEXTS = ("the sky is blue", "stone", "the old wind was on the cold river today and green", "und")
COUNT = 20


def greedy(model: Any, source: tuple[int, ...], **options: Any) -> list[int]:
    """What the class writes after its start: the forced token among it."""
    ids = torch.tensor([source])
    mask = torch.ones_like(ids)
    options |= {"max_new_tokens": COUNT, "num_beams": 1, "do_sample": False}
    return model.generate(ids, attention_mask=mask, **options)[0, 1:].tolist()


def written(events: Any) -> list[int]:
    return [event.token for event in events if event.token is not None]


@pytest.mark.parametrize("target", tiny_m2m.WORDS)
def test_the_translator_of_the_pages_translates_there_too(
    tiny: Path, target: str, backend: str
) -> None:
    folder = tiny / "translator"
    reference = M2M100ForConditionalGeneration.from_pretrained(folder).eval()
    sentences = {"en": "the garden was old and big", "de": "der Garten war alt und groß"}
    sentences["fr"] = "le jardin était vieux et grand"
    with inferflow_core.load(folder, backend=backend, set={"run.threads": 1}) as model:
        for source, text in sentences.items():
            told = {"source_language": source, "target_language": target}
            prompt = model.prompt(text, **told)  # type: ignore[arg-type]
            events = list(model.generate(text, **told, temperature=0.0))  # type: ignore[arg-type]
            forced = prompt.ids[-1]
            assert [forced, *written(events)] == greedy(
                reference, prompt.source, forced_bos_token_id=forced
            )
            assert "".join(event.text for event in events) == sentences[target]


def test_random_numbers_translate_alike(tiny: Path, tmp_path: Path, backend: str) -> None:
    """All at once, from and into different languages, to different lengths."""
    reference = M2M100ForConditionalGeneration(
        M2M100Config(
            vocab_size=len(tiny_m2m.TOKENS),
            d_model=48,
            encoder_layers=3,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=80,
            decoder_ffn_dim=80,
            max_position_embeddings=64,
            decoder_start_token_id=2,
        )
    )
    save(reference, tmp_path, 5)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny / "translator" / name, tmp_path)
    languages = [("en", "fr"), ("de", "en"), ("fr", "de"), ("en", "en")]
    with inferflow_core.load(tmp_path, backend=backend, set={"run.threads": 1}) as model:
        runs, prompts = [], []
        for text, (source, target) in zip(TEXTS, languages, strict=True):
            told: Any = {"source_language": source, "target_language": target}
            prompts.append(model.prompt(text, **told))
            runs.append(model.generate(text, **told, temperature=0.0, max_tokens=COUNT - 1))
        for run, prompt in zip(runs, prompts, strict=True):
            forced = prompt.ids[-1]
            expected = greedy(reference, prompt.source, forced_bos_token_id=forced)
            assert [forced, *written(run)] == expected
    assert len({prompt.source[0] for prompt in prompts}) == 3


def test_a_t5_is_asked_by_text_alone(tiny: Path, tmp_path: Path, backend: str) -> None:
    """It has no languages: a target begins with the padding token; its task is in the text."""
    definition = json.loads((tiny / "translator" / "tokenizer.json").read_text("utf-8"))
    for text in tiny_m2m.LANGUAGES:
        del definition["model"]["vocab"][text]
    definition["added_tokens"] = definition["added_tokens"][: len(tiny_m2m.SPECIAL)]
    del definition["post_processor"]["single"][0]
    del definition["post_processor"]["special_tokens"]["__en__"]
    reference = T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tiny_m2m.TOKENS),
            d_model=48,
            d_kv=12,
            d_ff=80,
            num_layers=2,
            num_heads=4,
            relative_attention_num_buckets=8,
            relative_attention_max_distance=20,
            decoder_start_token_id=1,
            pad_token_id=1,
            eos_token_id=2,
        )
    )
    torch.nn.init.constant_(reference.decoder.final_layer_norm.weight, 6.0)
    save(reference, tmp_path, 0)
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition), "utf-8")
    with inferflow_core.load(tmp_path, backend=backend, set={"run.threads": 1}) as model:
        found: list[list[int]] = []
        runs = [model.generate(text, temperature=0.0, max_tokens=COUNT) for text in TEXTS]
        for text, run in zip(TEXTS, runs, strict=True):
            prompt = model.prompt(text)
            assert prompt.ids == (1,)
            assert prompt.source[-1] == 2
            found.append(written(run))
            assert found[-1] == greedy(reference, prompt.source)
    assert len({token for run in found for token in run}) > 4, "too plain to tell anything"


def test_a_source_of_m2m100_is_as_its_class_writes_it(shared: Path) -> None:
    """In every language."""
    pytest.importorskip("sentencepiece", reason="the class of transformers needs it")
    folder = shared / "oracles" / "families" / "m2m100_418m" / "model"
    reference = M2M100Tokenizer.from_pretrained(folder)
    with inferflow_core.load(folder, backend="numpy") as model:
        tokenizer: Any = model.tokenizer
        assert len(tokenizer.languages) == 100
        for language, id in tokenizer.languages.items():
            reference.src_lang = language
            assert reference.get_lang_id(language) == id
            for text in TEXTS:
                assert tokenizer.encode_in(text, language) == reference(text).input_ids
