"""What a folder of sentence-transformers says becomes config keys."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_bert
from inferflow_loaders.config import normalize, origins
from inferflow_loaders.safetensors import SafetensorsLoader

from inferflow_core.errors import ModelFileError

MODE = "pooling_mode_"


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny / "encoder", tmp_path / "encoder")


def config_of(folder: Path) -> dict[str, Any]:
    checkpoint = SafetensorsLoader().open(folder)
    checkpoint.close()
    return {key: value for key, value in checkpoint.config.items() if key.startswith("embedding_")}


def test_the_usual_folder(folder: Path) -> None:
    assert config_of(folder) == {
        **{"embedding_pool": "mean", "embedding_normalize": True},
        "embedding_context": tiny_bert.CONTEXT,
    }


def test_without_modules_nothing_is_said(folder: Path) -> None:
    (folder / "modules.json").unlink()
    assert config_of(folder) == {}


@pytest.mark.parametrize(
    ("pooling", "word"),
    [
        ({f"{MODE}cls_token": True, f"{MODE}mean_tokens": False}, "first"),
        ({f"{MODE}lasttoken": True}, "last"),
        ({f"{MODE}max_tokens": True}, "max"),
        ({f"{MODE}mean_tokens": True, f"{MODE}max_tokens": True}, "mean+max"),
        ({f"{MODE}mean_tokens": True, "include_prompt": False}, "mean"),
        ({"pooling_mode": "cls"}, "first"),
        ({"pooling_mode": ["lasttoken", "mean"]}, "last+mean"),
        ({"pooling_mode": "mean", "include_prompt": True}, "mean"),
    ],
)
def test_pooling(folder: Path, pooling: dict[str, Any], word: str) -> None:
    tiny_bert.write_sentence_files(folder, pooling=pooling, normalize=False)
    config = config_of(folder)
    assert (config["embedding_pool"], config["embedding_normalize"]) == (word, False)


def test_a_module_that_nobody_can_do_is_named(folder: Path) -> None:
    modules = [{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]
    modules += [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]
    tiny_bert.write_json(folder / "modules.json", modules)
    assert config_of(folder)["embedding_pool"] == "mean+Dense"


def test_prompts_and_small_letters(folder: Path) -> None:
    prompts = {"query": "search: ", "document": ""}
    tiny_bert.write_sentence_files(folder, prompts=prompts, default_prompt_name="query")
    tiny_bert.write_json(folder / "sentence_bert_config.json", {"do_lower_case": True})
    config = config_of(folder)
    assert config["embedding_prompts"] == {"query": "search: "}
    assert config["embedding_prompt"] == "query"
    assert config["embedding_lower_case"] is True
    assert "embedding_context" not in config
    without = tiny_bert.POOLING | {"include_prompt": False}
    tiny_bert.write_sentence_files(folder, pooling=without, prompts=prompts)
    assert config_of(folder)["embedding_pool"] == "mean+without_prompt"
    tiny_bert.write_sentence_files(folder, prompts=[3], default_prompt_name="query")
    assert "embedding_prompts" not in config_of(folder)


@pytest.mark.parametrize(
    "module", [3, {}, {"type": "x.Pooling"}, {"type": "x.Pooling", "path": "../elsewhere"},
               {"type": "x.Pooling", "path": "/etc"}]
)  # fmt: skip
def test_modules_that_are_none(folder: Path, module: Any) -> None:
    tiny_bert.write_json(folder / "modules.json", [module])
    with pytest.raises(ModelFileError, match=r"a module has|leads out"):
        SafetensorsLoader().open(folder)


def test_modules_are_a_list(folder: Path) -> None:
    tiny_bert.write_json(folder / "modules.json", {"0": {}})
    with pytest.raises(ModelFileError, match="holds a JSON dict, not an array"):
        SafetensorsLoader().open(folder)


def test_labels_and_the_class_of_a_file() -> None:
    raw = {"id2label": {"0": "no", "1": "maybe", "2": "yes"}, "architectures": ["BertModel", "X"]}
    config = normalize(raw, "hf")
    assert (config["num_labels"], config["architecture"]) == (3, "BertModel")
    assert normalize(raw | {"num_labels": 9}, "hf")["num_labels"] == 9
    assert origins(config, "hf") == {
        "id2label": ("id2label", "num_labels"),
        "architectures": ("architectures", "architecture"),
    }
    strange = {"id2label": 3, "architectures": "x"}
    assert normalize(strange, "hf") == strange
