"""Languages of translation models: which there are, and what goes around a text of one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inferflow_tokenizers.auto import open_tokenizer
from inferflow_tokenizers.languages import languages_of

from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError, TokenizerError
from inferflow_core.interfaces import Multilingual
from inferflow_core.testing import TokenizerSuite


@pytest.fixture
def translator(tiny: Path, bare: Callable[..., Any], installed: Catalog) -> Callable[..., Any]:
    """translator(before=…, after=…): the tiny one, with other tokens around a text."""

    def make(folder: Path, before: list[str], after: list[str]) -> Any:
        definition = json.loads((tiny / "translator" / "tokenizer.json").read_text("utf-8"))
        ids = definition["model"]["vocab"]
        processor = definition["post_processor"]
        told = {text: {"id": text, "ids": [ids[text]], "tokens": [text]} for text in before + after}
        before_, after_ = (
            [{"SpecialToken": {"id": text, "type_id": 0}} for text in texts]
            for texts in (before, after)
        )
        text = {"Sequence": {"id": "A", "type_id": 0}}
        processor |= {"single": [*before_, text, *after_], "special_tokens": told}
        (folder / "tokenizer.json").write_text(json.dumps(definition), "utf-8")
        return open_tokenizer(bare(folder, "hf"), {}, installed)

    return make


@pytest.mark.parametrize(
    ("texts", "languages"),
    [
        (("</s>", "__fr__", "__en__", "__ceb__"), {"ceb": 3, "en": 2, "fr": 1}),
        (("</s>", "eng_Latn", "zho_Hans"), {"eng_Latn": 1, "zho_Hans": 2}),
        (("en_XX", "<mask>", "zh_CN"), {"en_XX": 0, "zh_CN": 2}),
        (("</s>", "__fr__"), {}),
        (("<s>", "<|en|>", "__init__", "__main__x"), {}),
        ((), {}),
    ],
)
def test_three_ways_to_write_them(texts: tuple[str, ...], languages: dict[str, int]) -> None:
    assert languages_of(dict(enumerate(texts))) == languages


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["__en__"], ["</s>"], ["__fr__", "▁sky", "</s>"]),
        ([], ["</s>", "__en__"], ["▁sky", "</s>", "__fr__"]),
        ([], ["</s>"], ["__fr__", "▁sky", "</s>"]),
        ([], [], ["__fr__", "▁sky"]),
    ],
)
def test_the_token_stands_where_the_files_put_one(
    tmp_path: Path, translator: Any, before: list[str], after: list[str], expected: list[str]
) -> None:
    """Before a text as M2M100 and NLLB, at its end as mBART."""
    tokenizer = translator(tmp_path, before, after)
    assert [tokenizer.token(id) for id in tokenizer.encode_in("sky", "fr")] == expected
    assert [tokenizer.token(id) for id in tokenizer.encode("sky")] == [*before, "▁sky", *after]


def test_an_unknown_one_is_told_the_nearest(tmp_path: Path, translator: Any) -> None:
    tokenizer = translator(tmp_path, ["__en__"], [])
    assert isinstance(tokenizer, Multilingual)
    with pytest.raises(TokenizerError, match=r"no language .fra.*mean .fr"):
        tokenizer.encode_in("sky", "fra")


def test_a_text_that_spells_one_does_not_make_one(tmp_path: Path, translator: Any) -> None:
    tokenizer = translator(tmp_path, ["__en__"], ["</s>"])
    ids = tokenizer.encode_in("sky __de__ </s>", "fr")
    assert tokenizer.languages["de"] not in ids
    assert ids.count(2) == 1


def test_m2m100_is_as_its_reference(shared: Path, bare: Any, installed: Catalog) -> None:
    """transformers sets `src_lang` for the prefix; here a request may."""
    folder = shared / "oracles" / "families" / "m2m100_418m"
    tokenizer: Any = open_tokenizer(bare(folder / "model", "hf"), {}, installed)
    written = json.loads((folder / "model" / "tokenizer_config.json").read_text("utf-8"))
    names = [token.strip("_") for token in written["additional_special_tokens"]]
    size = len(json.loads((folder / "model" / "vocab.json").read_text("utf-8")))
    assert tokenizer.languages == {name: size + place for place, name in enumerate(names)}
    for case in json.loads((folder / "ref" / "tokenizer_cases.json").read_text("utf-8")):
        around = [size + names.index("zu"), *case["ids"], 2]
        assert tokenizer.encode_in(case["text"], "zu") == around
        assert tokenizer.encode_in(case["text"], "en") == case["ids_default"]


def test_no_other_reference_has_any(shared: Path, open_real: Callable[[str], Any]) -> None:
    families = sorted(path.name for path in (shared / "oracles" / "families").iterdir())
    found = {name: len(open_real(f"family:{name}").languages) for name in families}
    assert len(found) == 31
    assert {name: count for name, count in found.items() if count} == {"m2m100_418m": 100}
    for path in sorted((shared / "data" / "vocabs").glob("*.gguf")):
        name = path.stem.removeprefix("ggml-vocab-")
        try:
            tokenizer = open_real(f"vocab:{name}")
        except InferflowError:
            continue  # of a kind that is not read
        assert tokenizer.languages == {}, name


class TestMultilingual(TokenizerSuite):
    name = "tokenizer_json"
    texts = ("the sky", "le ciel est bleu")

    @pytest.fixture(autouse=True)
    def _open(self, tiny: Path, bare: Callable[..., Any], installed: Catalog) -> None:
        self.tokenizer = open_tokenizer(bare(tiny / "translator", "hf"), {}, installed)

    def make(self) -> Any:
        return self.tokenizer
