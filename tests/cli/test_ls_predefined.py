"""`ls --predefined`: the models that have names, and how a person finds one."""

import json
from pathlib import Path
from typing import Any

from inferflow_server.cli.ls import find_predefined

from inferflow_core.catalog import Catalog


def test_the_list_says_what_each_model_is(inferflow: Any) -> None:
    lines = inferflow("ls", "--predefined").out.splitlines()
    assert lines[0].split() == ["NAME", "FAMILY", "MODEL"]
    (line,) = [line for line in lines if line.startswith("smollm2-135m-instruct ")]
    assert line.split()[1] == "llama"
    assert "SmolLM2-135M-Instruct (Hugging Face, Apache-2.0)" in line
    assert not [line for line in lines if line.startswith("llama ")], "a family is no model"


def test_json(inferflow: Any) -> None:
    models = json.loads(inferflow("ls", "--predefined", "--json").out)
    assert [list(model) for model in models] == [["name", "family", "path", "about"]] * len(models)
    assert {"smollm2-135m-instruct"} <= {model["name"] for model in models}


def test_a_misspelt_name_leads_to_the_list(inferflow: Any) -> None:
    done = inferflow("check", "smollm2-135m")
    assert done.code == 6
    assert "Did you mean 'smollm2-135m-instruct'?" in done.err
    assert "Hint: `inferflow ls --predefined` lists" in done.err


def test_a_spec_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    catalog = Catalog(entries=[])
    texts = {
        "good": "# What it is\nspec = 1\nextends = 'llama'\n[weights]\npath = 'x.gguf'\n",
        "plain": "spec = 1\n[weights]\npath = 'y.gguf'\n",
        "broken": "spec = ",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        catalog.add("spec", name, tmp_path / name)
    catalog.add("spec", "gone", tmp_path / "gone")
    found = [(one.name, one.family, one.path, one.about) for one in find_predefined(catalog)]
    assert found == [("good", "llama", "x.gguf", "What it is"), ("plain", "", "y.gguf", "")]
