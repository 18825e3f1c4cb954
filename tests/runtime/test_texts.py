"""Embeddings, fills, labels: what the heads of an encoder say of texts, from Python."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bert

import inferflow_core
from inferflow_core.errors import RequestError, SpecError
from inferflow_core.interfaces import LoadedModel

TEXTS = ["the sky is blue", "a small river sings", "stone", "light on the old sea was green ."]


@pytest.fixture(scope="module")
def encoder(tiny: Path) -> Iterator[LoadedModel]:
    with inferflow_core.load(tiny / "encoder", backend="numpy") as model:
        yield model


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny / "encoder", tmp_path / "encoder")


def load(folder: Path, **options: Any) -> LoadedModel:
    return inferflow_core.load(folder, backend="numpy", **options)


class TestEmbed:
    def test_it_is_the_mean_of_the_states_at_unit_length(self, encoder: LoadedModel) -> None:
        vectors = encoder.embed(TEXTS)
        assert (vectors.dtype, vectors.shape) == (np.float32, (4, tiny_bert.HIDDEN))
        states = encoder.hidden([encoder.tokenizer.encode(text) for text in TEXTS])
        means = np.stack([each.astype(np.float64).mean(axis=0) for each in states])
        expected = means / np.linalg.norm(means, axis=1, keepdims=True)
        np.testing.assert_allclose(vectors, expected, atol=1e-6)

    @pytest.mark.parametrize("backend", ["numpy", "cpu"])
    def test_many_texts_are_those_alone_to_the_bit(self, tiny: Path, backend: str) -> None:
        if backend == "cpu":
            pytest.importorskip("numba", reason="the cpu backend needs numba")
        with inferflow_core.load(tiny / "encoder", backend=backend) as model:
            alone = np.concatenate([model.embed([text]) for text in TEXTS])
            many = model.embed(TEXTS * 12)
            assert many.tobytes() == np.tile(alone, (12, 1)).tobytes()

    def test_ids_are_taken_as_they_are(self, encoder: LoadedModel) -> None:
        ids = encoder.text_ids(TEXTS)
        assert np.array_equal(encoder.embed(ids), encoder.embed(TEXTS))
        assert np.array_equal(encoder.embed([ids[0], TEXTS[1]]), encoder.embed(TEXTS[:2]))

    def test_no_text_gives_no_vector(self, encoder: LoadedModel) -> None:
        assert encoder.embed([]).shape == (0, tiny_bert.HIDDEN)

    def test_dimensions_are_the_first_at_the_same_length(self, encoder: LoadedModel) -> None:
        whole, short = encoder.embed(TEXTS), encoder.embed(TEXTS, dimensions=7)
        prefix = whole[:, :7].astype(np.float64)
        expected = prefix / np.linalg.norm(prefix, axis=1, keepdims=True)
        np.testing.assert_allclose(short, expected, atol=1e-6)
        assert np.array_equal(encoder.embed(TEXTS, dimensions=tiny_bert.HIDDEN), whole)

    @pytest.mark.parametrize("dimensions", [0, -1, tiny_bert.HIDDEN + 1])
    def test_other_dimensions_are_refused(self, encoder: LoadedModel, dimensions: int) -> None:
        with pytest.raises(RequestError, match="vectors have 32"):
            encoder.embed(["sky"], dimensions=dimensions)

    def test_the_folder_says_how(self, folder: Path) -> None:
        first = {"pooling_mode_cls_token": True}
        tiny_bert.write_sentence_files(folder, pooling=first, normalize=False)
        with load(folder) as model:
            states = model.hidden(model.text_ids(TEXTS))
            assert np.array_equal(model.embed(TEXTS), np.stack([each[0] for each in states]))

    def test_the_spec_goes_over_the_folder(self, folder: Path) -> None:
        head = '{use="pooler", pool="last", dense=false}'
        with load(folder, set=[f"model.heads.embedding={head}"]) as model:
            states = model.hidden(model.text_ids(TEXTS))
            assert np.array_equal(model.embed(TEXTS), np.stack([each[-1] for each in states]))

    def test_without_a_word_of_the_folder_it_is_the_mean(self, folder: Path) -> None:
        with load(folder) as model:
            expected = model.embed(TEXTS)
        (folder / "modules.json").unlink()
        with load(folder) as model:
            assert np.array_equal(model.embed(TEXTS), expected)
            assert model.engine.context == tiny_bert.POSITIONS

    def test_pooling_that_nobody_can_do_is_refused_by_name(self, folder: Path) -> None:
        tiny_bert.write_sentence_files(folder, pooling={"pooling_mode": ["max"]})
        with pytest.raises(SpecError, match=r"heads\.embedding\.pool.*'max'"):
            load(folder)
        with load(folder, set=["model.heads.embedding.pool=mean"]) as model:
            assert model.embed(TEXTS).shape == (4, tiny_bert.HIDDEN)

    def test_prompts(self, folder: Path) -> None:
        prompts = {"query": "a small ", "passage": "the "}
        tiny_bert.write_sentence_files(folder, prompts=prompts, default_prompt_name="passage")
        with load(folder) as model:
            plain = [model.tokenizer.encode(f"the {text}") for text in TEXTS]
            assert np.array_equal(model.embed(TEXTS), model.embed(plain))
            query = model.embed(["stone"], prompt="query")
            assert np.array_equal(query, model.embed([model.tokenizer.encode("a small stone")]))
            with pytest.raises(RequestError, match=r"passage, query\. Did you mean 'query'"):
                model.embed(TEXTS, prompt="qury")

    def test_small_letters(self, folder: Path) -> None:
        about = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
        tiny_bert.write_json(folder / "tokenizer_config.json", about)
        for lower in (False, True):
            tiny_bert.write_json(folder / "sentence_bert_config.json", {"do_lower_case": lower})
            with load(folder) as model:
                assert np.array_equal(model.embed(["SKY"]), model.embed(["sky"])) is lower

    def test_long_texts(self, encoder: LoadedModel) -> None:
        limit, long = tiny_bert.CONTEXT, "sky " * 40
        assert encoder.engine.context == limit
        with pytest.raises(RequestError, match=f"text 1 has 42 tokens.*at most {limit}"):
            encoder.embed(["sky", long])
        cls, sep = (encoder.tokenizer.token_id(token) for token in ("[CLS]", "[SEP]"))
        sky = encoder.tokenizer.token_id("sky")
        assert encoder.text_ids([long], truncate=True) == [[cls, *[sky] * (limit - 2), sep]]
        assert encoder.text_ids([long, [sky] * 40], truncate=5) == [
            [cls, sky, sky, sky, sep],
            [sky] * 5,
        ]
        assert encoder.text_ids(["sky"], truncate=1000) == [[cls, sky, sep]]
        assert encoder.embed([long], truncate=True).shape == (1, tiny_bert.HIDDEN)
        with pytest.raises(RequestError, match="2 tokens hold nothing of a text"):
            encoder.embed([long], truncate=2)

    def test_one_text_is_no_list(self, encoder: LoadedModel) -> None:
        with pytest.raises(RequestError, match="takes a list"):
            encoder.embed("sky")

    def test_a_decoder_has_none(self, tiny: Path) -> None:
        with (
            load(tiny / "checkpoint") as model,
            pytest.raises(RequestError, match=r"no head 'embedding'.*: hidden, logits\n"),
        ):
            model.embed(["a"])


class TestMasks:
    def test_the_best_tokens_for_each_mask(self, encoder: LoadedModel) -> None:
        fills = encoder.fill_mask("the [MASK] is [MASK] .", top=3)
        ids = encoder.tokenizer.encode("the [MASK] is [MASK] .", parse_special=True)
        (logits,) = encoder.head("mlm", [ids])
        assert [len(each) for each in fills] == [3, 3]
        for row, each in zip((2, 4), fills, strict=True):
            assert ids[row] == encoder.tokenizer.mask
            scores = logits[row].astype(np.float64)
            probabilities = np.exp(scores) / np.exp(scores).sum()
            best = np.argsort(-probabilities)[:3]
            assert [fill.token for fill in each] == best.tolist()
            np.testing.assert_allclose([f.probability for f in each], probabilities[best], 1e-6)
            assert [fill.text for fill in each] == [
                encoder.tokenizer.decode([i], skip_special=False) for i in best
            ]

    def test_a_text_without_a_mask(self, encoder: LoadedModel) -> None:
        with pytest.raises(RequestError, match=r"the text has no \[MASK\]"):
            encoder.fill_mask("the sky")

    def test_a_model_that_fills_none(self, tmp_path: Path) -> None:
        with (
            load(tiny_bert.write_checkpoint(tmp_path / "x", ("pooled",))) as model,
            pytest.raises(RequestError, match="no head 'mlm'"),
        ):
            model.fill_mask("the [MASK]")


class TestLabels:
    LABELS = ("sad", "glad", "so so")

    def scores(self, model: LoadedModel, text: str) -> Any:
        (scores,) = model.head("labels", [model.tokenizer.encode(text)])
        return scores.astype(np.float64)

    def test_one_label_of_several(self, tmp_path: Path) -> None:
        heads = ("pooled", "classifier")
        with load(tiny_bert.write_checkpoint(tmp_path / "x", heads, labels=self.LABELS)) as model:
            results = model.classify(TEXTS)
            for text, result in zip(TEXTS, results, strict=True):
                scores = self.scores(model, text)
                expected = np.exp(scores) / np.exp(scores).sum()
                assert result == pytest.approx(dict(zip(self.LABELS, expected, strict=True)))
                assert list(result.values()) == sorted(result.values(), reverse=True)
            with pytest.raises(RequestError, match="whole text, not its tokens"):
                model.classify_tokens(TEXTS)

    @pytest.mark.parametrize(
        ("labels", "problem"), [(LABELS, "multi_label_classification"), (("good",), None)]
    )
    def test_labels_that_may_hold_together(
        self, tmp_path: Path, labels: tuple[str, ...], problem: str | None
    ) -> None:
        folder = tiny_bert.write_checkpoint(
            *(tmp_path / "x", ("pooled", "classifier")), labels=labels, problem_type=problem
        )
        with load(folder) as model:
            expected = 1 / (1 + np.exp(-self.scores(model, TEXTS[0])))
            (result,) = model.classify(TEXTS[:1])
            assert result == pytest.approx(dict(zip(labels, expected, strict=True)))

    def test_a_regression_keeps_its_number(self, tmp_path: Path) -> None:
        folder = tiny_bert.write_checkpoint(
            *(tmp_path / "x", ("pooled", "classifier")), labels=("much",), problem_type="regression"
        )
        with load(folder) as model:
            (score,) = self.scores(model, TEXTS[0])
            assert model.classify(TEXTS[:1]) == [{"much": pytest.approx(score)}]

    def test_labels_without_names(self, tmp_path: Path) -> None:
        folder = tiny_bert.write_checkpoint(tmp_path / "x", ("pooled", "classifier"))
        with load(folder) as model:
            assert set(model.classify(["sky"])[0]) == {"LABEL_0", "LABEL_1"}

    def test_pairs(self, tmp_path: Path) -> None:
        heads = ("pooled", "classifier")
        with load(tiny_bert.write_checkpoint(tmp_path / "x", heads)) as model:
            ids, types = model.tokenizer.encode_pair("the sky", "is blue")
            words = ["[CLS]", "the", "sky", "[SEP]", "is", "blue", "[SEP]"]
            assert [model.tokenizer.token(id) for id in ids] == words
            assert types == [0, 0, 0, 0, 1, 1, 1]
            (scores,) = model.head("labels", [ids], token_types=[types])
            expected = np.exp(scores) / np.exp(scores).sum()
            pair, alone = model.classify([("the sky", "is blue"), "the sky is blue"])
            assert pair == pytest.approx({"LABEL_0": expected[0], "LABEL_1": expected[1]})
            assert pair != pytest.approx(alone)

    def test_a_label_a_token(self, tmp_path: Path) -> None:
        folder = tiny_bert.write_checkpoint(
            *(tmp_path / "x", ("classifier",)), labels=self.LABELS,
            architectures=["BertForTokenClassification"],
        )  # fmt: skip
        with load(folder) as model:
            texts = ["blue seas", "stone"]
            results = model.classify_tokens(texts)
            assert [[each.text for each in one] for one in results] == [
                ["blue", "sea", "##s"],
                ["stone"],
            ]
            for text, one in zip(texts, results, strict=True):
                (scores,) = model.head("labels", [model.tokenizer.encode(text)])
                weights = np.exp(scores.astype(np.float64))
                expected = (weights / weights.sum(axis=1, keepdims=True))[1:-1]
                assert [self.LABELS.index(each.label) for each in one] == [*expected.argmax(axis=1)]
                np.testing.assert_allclose([e.probability for e in one], expected.max(axis=1), 1e-6)
            with pytest.raises(RequestError, match="labels each token of a text"):
                model.classify(texts)

    def test_a_model_that_labels_nothing(self, encoder: LoadedModel) -> None:
        with pytest.raises(RequestError, match="no head 'labels'"):
            encoder.classify(["sky"])


def test_next_sentences(encoder: LoadedModel) -> None:
    pairs = [encoder.tokenizer.encode_pair("the sky", each) for each in ("is blue", "stone")]
    scores = encoder.head(
        "nsp", [ids for ids, _ in pairs], token_types=[types for _, types in pairs]
    )
    assert np.stack(scores).shape == (2, 2)


def test_positions_that_are_compared_in_the_scores_are_refused(tmp_path: Path) -> None:
    kind = {"position_embedding_type": "relative_key"}
    folder = tiny_bert.write_checkpoint(tmp_path / "x", **kind)
    with pytest.raises(SpecError, match=r"relative_key.*absolute"):
        load(folder)


def test_it_writes_no_text(encoder: LoadedModel) -> None:
    with pytest.raises(RequestError, match="writes no text"):
        encoder.generate("the sky")
