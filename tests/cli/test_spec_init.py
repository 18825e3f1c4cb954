"""`inferflow spec init`: a spec that works, or what has no place."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file


@pytest.fixture(autouse=True)
def folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change_config(folder: Path, **changes: Any) -> None:
    """None takes a key away."""
    path = folder / "checkpoint" / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


@pytest.mark.parametrize("model", ["checkpoint", "model.gguf"])
@pytest.mark.parametrize("out", ["mine.toml", "specs/mine.toml"])
def test_what_it_writes_is_the_same_model(
    inferflow: Any, folder: Path, model: str, out: str
) -> None:
    (folder / "specs").mkdir()
    done = inferflow("spec", "init", model, "--out", out)
    assert (done.code, done.out) == (0, "")
    text = (folder / out).read_text("utf-8")
    written = tomllib.loads(text)
    assert set(written) == {"spec", "extends", "weights"}
    assert set(written["weights"]) == {"path"}
    assert not Path(written["weights"]["path"]).is_absolute()
    assert "model.hidden = 64" in text
    assert "${config.num_attention_heads} <- checkpoint" in text
    assert "no tokenizer" not in text
    assert "layer.1" not in text
    mine = json.loads(inferflow("spec", "show", out, "--json").out)
    same = json.loads(inferflow("spec", "show", model, "--json").out)
    assert mine["tables"]["model"] == same["tables"]["model"]
    assert inferflow("check", out).code == 0


def test_a_long_table_does_not_widen_all_lines(inferflow: Any, folder: Path) -> None:
    factors = {"short_factor": [1.0] * 8, "long_factor": [1.25] * 8}
    change_config(folder, rope_scaling={"rope_type": "longrope", **factors})
    lines = inferflow("spec", "init", "checkpoint").out.splitlines()
    (table,) = [line for line in lines if "position.scaling = " in line]
    assert "[1.25, 1.25" in table
    (short,) = [line for line in lines if "model.hidden = " in line]
    assert len(short) < 140 < len(table)


def test_llama2c_and_a_path_from_the_root(inferflow: Any, shared: Path) -> None:
    stories = shared / "data" / "stories260K" / "stories260K.bin"
    report = json.loads(inferflow("spec", "init", str(stories), "--json").out)
    assert (report["family"], report["out"]) == ("llama", None)
    assert tomllib.loads(report["text"])["weights"] == {"path": stories.as_posix()}
    assert "${config.hidden_act} <- llama [config]" in report["text"]


def test_without_a_tokenizer_it_says_so(inferflow: Any, folder: Path) -> None:
    for file in (folder / "checkpoint").glob("token*"):
        file.unlink()
    done = inferflow("spec", "init", "checkpoint")
    assert done.code == 0
    assert "# There is no tokenizer" in done.out
    Path("mine.toml").write_text(done.out, "utf-8")
    assert inferflow("check", "mine.toml").code == 0


def test_nothing_is_replaced_unless_asked(inferflow: Any) -> None:
    Path("mine.toml").write_text("precious")
    done = inferflow("spec", "init", "checkpoint", "--out", "mine.toml")
    assert (done.code, "--force" in done.err) == (2, True)
    assert Path("mine.toml").read_text() == "precious"
    assert inferflow("spec", "init", "checkpoint", "--out", "mine.toml", "--force").code == 0
    assert tomllib.loads(Path("mine.toml").read_text("utf-8"))["extends"] == "llama"


class TestAnUnknownFamily:
    """A checkpoint whose `model_type` no spec matches."""

    @pytest.fixture(autouse=True)
    def rename(self, folder: Path) -> None:
        change_config(folder, model_type="lama")

    def test_the_nearest_serves_if_all_has_its_place(self, inferflow: Any, folder: Path) -> None:
        change_config(folder, use_magic=True, torch_dtype="float32")
        done = inferflow("spec", "init", "checkpoint", "--out", "mine.toml")
        assert (done.code, done.out) == (0, "")
        assert "model_type 'lama'" in done.err
        assert "Every tensor has its place in 'llama'" in done.err
        assert "compare with a reference" in done.err
        assert "does not read: use_magic\n" in done.err
        text = (folder / "mine.toml").read_text("utf-8")
        assert "does one of these change what is computed?\n# use_magic = true\n" in text
        assert "torch_dtype" not in text
        assert inferflow("check", "mine.toml").code == 0

    def test_what_has_no_place_in_the_nearest_is_named(self, inferflow: Any, folder: Path) -> None:
        change_config(folder, attention_sinks=4)
        tensors = load_file(folder / "checkpoint" / "model.safetensors")
        del tensors["model.norm.weight"]
        for layer in range(2):
            name = f"model.layers.{layer}.self_attn."
            tensors[f"{name}qry_proj.weight"] = tensors.pop(f"{name}q_proj.weight")
            tensors[f"{name}qry_proj.bias"] = tensors["model.layers.0.input_layernorm.weight"]
        save_file(tensors, folder / "checkpoint" / "model.safetensors", {"format": "pt"})
        done = inferflow("spec", "init", "checkpoint", "--out", "mine.toml")
        assert (done.code, done.out) == (4, "")
        assert "model_type 'lama'" in done.err
        assert "Did you mean 'llama'?" in done.err
        assert "The nearest is 'llama', where not all has a place" in done.err
        (stray,) = [line for line in done.err.splitlines() if "qry_proj.bias" in line]
        assert "nearest: layers.{i}.self_attn.q_proj.{p} (and 3 like it)" in stray
        (param,) = [line for line in done.err.splitlines() if "layers.0.mixer.q.weight" in line]
        assert "nearest: model.layers.0.self_attn.qry_proj.weight" in param
        assert "norm.weight" in done.err
        assert "attention_sinks = 4" in done.err
        assert "llama 18 of 22" in done.err
        assert "A new model in a TOML file" in done.err
        assert not (folder / "mine.toml").exists()

    def test_names_that_no_family_knows(self, inferflow: Any, folder: Path) -> None:
        tensors = load_file(folder / "checkpoint" / "model.safetensors")
        ends = {"up_proj": "mlp.up_proj", "q_proj": "self_attn.q_proj"}
        strange = {
            f"venus.{n}.{ends.get(name.split('.')[-2], 'x')}.w": each
            for n, (name, each) in enumerate(tensors.items())
        }
        save_file(strange, folder / "checkpoint" / "model.safetensors", {"format": "pt"})
        done = inferflow("spec", "init", "checkpoint")
        assert (done.code, done.out) == (4, "")
        assert "no family knows any of these names; most alike are those of " in done.err

    def test_a_family_that_fits_can_be_forced(self, inferflow: Any) -> None:
        forced = ["--family", "llama", "--out", "mine.toml"]
        assert inferflow("spec", "init", "checkpoint", *forced).code == 0
        assert inferflow("check", "mine.toml").code == 0

    def test_a_family_that_does_not_exist(self, inferflow: Any) -> None:
        done = inferflow("spec", "init", "checkpoint", "--family", "llma")
        assert (done.code, "Did you mean 'llama'?" in done.err) == (4, True)

    def test_numbers_that_are_missing_and_names_that_nobody_knows(
        self, inferflow: Any, folder: Path
    ) -> None:
        change_config(folder, intermediate_size=None, inner_width=128)
        tensors = load_file(folder / "checkpoint" / "model.safetensors")
        strange = {f"venus.{number}.sulphur": each for number, each in enumerate(tensors.values())}
        save_file(strange, folder / "checkpoint" / "model.safetensors", {"format": "pt"})
        done = inferflow("spec", "init", "checkpoint", "--family", "llama")
        assert (done.code, done.out) == (3, "")
        assert "intermediate_size" in done.err
        assert "venus.0.sulphur (and 20 like it)" in " ".join(done.err.split())
        assert "inner_width = 128" in done.err


def test_code_of_a_checkpoint_is_never_touched(folder: Path) -> None:
    """Not imported, not even opened: by whoever makes a spec, checks, or runs the model."""
    code = "from pathlib import Path\nPath(__file__).with_name('mark').touch()\n"
    for name in ("configuration_x.py", "modeling_x.py", "tokenization_x.py", "__init__.py"):
        (folder / "checkpoint" / name).write_text(code)
    auto_map = {
        "AutoConfig": "configuration_x.XConfig",
        "AutoModelForCausalLM": "modeling_x.XForCausalLM",
    }
    change_config(folder, auto_map=auto_map, model_type="x", trust_remote_code=True)
    about = folder / "checkpoint" / "tokenizer_config.json"
    tokenizer = {"auto_map": {"AutoTokenizer": ["tokenization_x.XTokenizer", None]}}
    about.write_text(json.dumps(json.loads(about.read_text()) | tokenizer))
    script = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import inferflow_core
from inferflow_server.cli.main import run
assert run(["spec", "init", "checkpoint", "--out", "mine.toml"]) == 0
assert run(["check", "mine.toml"]) == 0
assert run(["inspect", "mine.toml"]) == 0
with inferflow_core.load("mine.toml", backend="numpy") as model:
    assert len(list(model.generate("the sea", max_tokens=3))) >= 1
touched = [each for each in opened if "checkpoint" in each]
assert any(each.endswith("config.json") for each in touched)
assert not [each for each in touched if ".py" in each], touched
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(folder.rglob("mark"))


def test_a_forced_family_says_what_has_no_place(inferflow: Any, folder: Path, shared: Path) -> None:
    phi = str(shared / "oracles" / "families" / "phi_2" / "model")
    done = inferflow("spec", "init", phi, "--family", "llama", "--out", "mine.toml")
    assert (done.code, done.out) == (5, "")
    assert "model.final_layernorm.bias" in done.err
    assert "layers.0.ffn.gate.weight" in done.err
    config = folder / "checkpoint" / "config.json"
    numbers = json.loads(config.read_text())
    del numbers["intermediate_size"]
    config.write_text(json.dumps(numbers))
    done = inferflow("spec", "init", "checkpoint", "--out", "mine.toml")
    assert (done.code, "intermediate_size" in done.err) == (3, True)
    assert not (folder / "mine.toml").exists()


@pytest.mark.parametrize(
    ("path", "code", "word"),
    [("nothing", 2, "does not exist"), ("text.txt", 5, "no loader"), ("a.toml", 2, "spec already")],
)
def test_what_is_no_checkpoint(inferflow: Any, path: str, code: int, word: str) -> None:
    Path("a.toml").write_text('spec = 1\nextends = "llama"\n')
    done = inferflow("spec", "init", path)
    assert (done.code, done.out) == (code, "")
    assert word in done.err
