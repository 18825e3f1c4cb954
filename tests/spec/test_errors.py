"""What a wrong spec is told: whole texts, all problems at once."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inferflow_core.block import Position
from inferflow_core.catalog import Catalog
from inferflow_core.errors import Problem, SpecError
from inferflow_core.spec import check, parse_spec, resolve

SNAPSHOTS = Path(__file__).parent / "snapshots"

GOOD = """spec = 1
[weights]
names = "hf_llama"
[model]
use = "toy"
hidden = 8
vocab = 16
depth = 2
norm = { use = "rms_norm" }
[model.layer]
use = "pre_norm"
norm = "${model.norm}"
mixer = { use = "attention", heads = 2, position = { use = "rope" } }
ffn = { use = "mlp", act = "silu" }
"""


@dataclass(frozen=True, kw_only=True)
class Strange(Position):
    fields: set[int]


def told(
    text: str, catalog: Catalog, config: dict[str, Any] | None = None, **more: Any
) -> list[tuple[str, str]]:
    """Path and message of every problem that resolving a spec ends with."""
    spec = parse_spec(text, catalog, label="my.toml")
    with pytest.raises(SpecError) as caught:
        resolve(spec, config=config or {}, source="hf", catalog=catalog, **more)
    error = caught.value
    assert str(error).startswith(f"my.toml: {len(error.problems)} problem")
    return [(problem.path, problem.message) for problem in error.problems]


def assert_snapshot(name: str, problems: list[tuple[str, str]]) -> None:
    """Compares the text of an error with a file beside this one."""
    text = str(SpecError("my.toml", [Problem(*one) for one in problems]))
    assert text == (SNAPSHOTS / f"{name}.txt").read_text("utf-8").rstrip("\n")


def test_several_problems_at_once(toys: Catalog) -> None:
    text = (
        GOOD.replace("norm = {", "norm = { epss = 1e-6, unit_offset = 1,")
        .replace("heads = 2", 'heads = "2", windw = 5')
        .replace('act = "silu"', 'act = "sillu"')
        .replace('{ use = "rope" }', '{ use = "rop", theta = 1 }')
        .replace("vocab = 16", "vocab = true")
        + "[tokenizer]\nbos = 1\nprefx = []\n"
        + "[run]\nbackend = 'numpi'\nmax_queue = 2.0\n"
    )
    assert_snapshot("several", told(text, toys))


def test_the_three_plugin_errors_and_a_wrong_kind(toys: Catalog) -> None:
    text = GOOD.replace(
        'norm = { use = "rms_norm" }',
        """norm = { use = "top_p" }
[model.heads]
a = { use = "rms_norm" }
b = { use = "linear_hed" }
[model.encoder]
depth = 1
norm = { use = "example.scaled_norm" }
[model.encoder.layer]
use = "pre_norm"
norm = { use = "xyz.broken" }
mixer = { use = "attention", heads = 1 }
ffn = { use = "mlp", act = "relu", inner = "${model.encoder.layer.norm}" }
""",
    ).replace('norm = "${model.norm}"', 'norm = { use = "xyz.twice" }')
    assert_snapshot("plugins", told(text, toys))


OTHER: dict[str, tuple[Callable[[str], str], list[tuple[str, str]]]] = {
    "a key without default": (
        lambda text: text.replace("heads = 2, ", ""),
        [("model.layer.mixer.heads", "missing key of attention: a whole number")],
    ),
    "the same through an absent value": (
        lambda text: text.replace("heads = 2", 'heads = "${config.n?}"'),
        [
            (
                "model.layer.mixer.heads",
                "missing key of attention: a whole number; ${config.n?} is absent here",
            )
        ],
    ),
    "text where a table belongs": (
        lambda text: text.replace('{ use = "rope" }', '"rope"'),
        [("model.layer.mixer.position", "expected a position, a table: { use = 'rope' }")],
    ),
    "table without use": (
        lambda text: text.replace('{ use = "rms_norm" }', "{ eps = 1 }"),
        [
            (
                "model.norm",
                "a table without `use`; a norm is wanted (have: rms_norm, xyz.broken, xyz.twice)",
            )
        ],
    ),
    "a list": (
        lambda text: text.replace('{ use = "rope" }', "[1]"),
        [("model.layer.mixer.position", "expected a position, found a list")],
    ),
    "use as a reference": (
        lambda text: text.replace('"rms_norm"', '"${config.norm}"'),
        [("model.norm.use", "`use` is always a literal name")],
    ),
    "a table of the checkpoint as a block": (
        lambda text: text.replace('{ use = "rope" }', '"${config.evil}"'),
        [
            (
                "model.layer.mixer.position",
                "what comes from a checkpoint is data and never names a plugin",
            )
        ],
    ),
    "a check of the block's own": (
        lambda text: text.replace("heads = 2", "heads = 0"),
        [("model.layer.mixer", "attention: heads is 0; it must be 1 or more")],
    ),
    "no depth": (
        lambda text: text.replace("depth = 2\n", ""),
        [("model.depth", "missing key of toy: needed by the stack")],
    ),
    "depth below one": (
        lambda text: text.replace("depth = 2", "depth = 0"),
        [("model.depth", "expected 1 to 4096 layers, found 0")],
    ),
    "endless depth": (
        lambda text: text.replace("depth = 2", "depth = 9000000000"),
        [("model.depth", "expected 1 to 4096 layers, found 9000000000")],
    ),
    "layers, not layer": (
        lambda text: text + "[model.layers]\n",
        [
            (
                "model.layers",
                "unknown key of toy. Did you mean 'layer'? "
                "(keys: hidden, vocab, depth, layer, norm, heads, encoder)",
            )
        ],
    ),
    "a table inside of itself": (
        lambda text: text.replace('act = "silu"', 'act = "silu", inner = "${model.layer.ffn}"'),
        [
            (
                "model.layer.ffn",
                "a table inside of itself: model.layer.ffn -> model.layer.ffn",
            )
        ],
    ),
    "names in a branch not chosen": (
        lambda text: text.replace(
            '{ use = "rope" }',
            "{ case = 1, of = { 1 = { use = 'rope' }, 2 = { use = 'roap' } } }",
        ),
        [
            (
                "model.layer.mixer.position.of.2.use",
                "no position named 'roap'. Did you mean 'rope'? "
                "(have: alibi, rope, xyz.other, xyz.strange)",
            )
        ],
    ),
    "keys in a branch not chosen": (
        lambda text: text.replace(
            "heads = 2",
            "heads = 2, window = { case = 1, of = { 1 = 2, 2 = 'x', 3 = '${model.nrm}' } }",
        ),
        [
            ("model.layer.mixer.window.of.2", "expected a whole number, found the text 'x'"),
            (
                "model.layer.mixer.window.of.3",
                "model has no key 'nrm'. Did you mean 'norm'? "
                "(keys: use, hidden, vocab, depth, norm, layer)",
            ),
        ],
    ),
    "a number that is none": (
        lambda text: text.replace('{ use = "rms_norm" }', '{ use = "rms_norm", eps = nan }'),
        [("model.norm.eps", "expected a finite number, found nan")],
    ),
    "one of several words": (
        lambda text: text.replace('{ use = "rope" }', '{ use = "rope", style = "haf" }'),
        [
            (
                "model.layer.mixer.position.style",
                "no word 'haf'. Did you mean 'half'? (have: half, pairs)",
            )
        ],
    ),
    "one of two types": (
        lambda text: text + "[model.heads]\nh = { use = 'linear_head', tied = 1 }\n",
        [("model.heads.h.tied", "expected true or false or 'auto', found the number 1")],
    ),
    "use in a table of names": (
        lambda text: text + "[model.heads]\nuse = 'linear_head'\n",
        [("model.heads", "expected a table of named entries, found a table with `use`")],
    ),
    "no weights": (
        lambda text: text.replace('[weights]\nnames = "hf_llama"\n', ""),
        [("weights", "missing: every spec has a table [weights]")],
    ),
    "no map for the source": (
        lambda text: text.replace('"hf_llama"', '{ gguf = "gguf", llama2c = "llama2c" }'),
        [("weights.names", "no name map for source 'hf' (have: gguf, llama2c)")],
    ),
    "no such map": (
        lambda text: text.replace('"hf_llama"', '"hf_lama"'),
        [
            (
                "weights.names",
                "no names named 'hf_lama'. Did you mean 'hf_llama'? "
                "(have: gguf, hf_llama, llama2c)",
            )
        ],
    ),
    "auto where it means nothing": (
        lambda text: text.replace('"hf_llama"', '"auto"'),
        [("weights.names", "no names named 'auto'. (have: gguf, hf_llama, llama2c)")],
    ),
    "a model that is absent": (
        lambda text: (
            text.replace("[model]\n", "[model]\ncase = 1\nelse = '${none}'\n[model.of.2]\n")
            .replace("[model.layer]", "[model.of.2.layer]")
            .replace("${model.norm}", "${model.of.2.norm}")
        ),
        [("model", "its value is absent here")],
    ),
    "a plugin with a field that no spec can fill": (
        lambda text: text.replace('{ use = "rope" }', '{ use = "xyz.strange" }'),
        [
            (
                "model.layer.mixer.position.use",
                "position 'xyz.strange' is broken: Strange.fields: "
                "no spec can fill a field of type set[int]",
            )
        ],
    ),
    "a plugin that is no block": (
        lambda text: text.replace('{ use = "rope" }', '{ use = "xyz.other" }'),
        [
            (
                "model.layer.mixer.position.use",
                "position 'xyz.other' is broken: Path is no subclass for this kind",
            )
        ],
    ),
    "a sampler's own check": (
        lambda text: text + "[run]\nsamplers = [{ use = 'top_p', limit = -1 }]\n",
        [("run", "run: samplers.0: limit must be above 0")],
    ),
    "a page of odd size": (
        lambda text: text + "[run]\npage_tokens = 8\n",
        [("run", "run: page_tokens is 8; it must be a multiple of 16")],
    ),
}


@pytest.mark.parametrize("name", OTHER)
def test_problem(name: str, toys: Catalog) -> None:
    change, expected = OTHER[name]
    toys.add("position", "xyz.strange", Strange)
    toys.add("position", "xyz.other", Path)
    config = {"evil": {"use": "rms_norm"}, "norm": "rms_norm"}
    assert told(change(GOOD), toys, config) == expected


def test_data_of_a_checkpoint_may_fill_a_table(toys: Catalog) -> None:
    text = GOOD.replace('{ use = "rope" }', '{ use = "rope", scaling = "${config.rope_scaling?}" }')
    spec = parse_spec(text, toys)
    scaling: dict[str, Any] = {"rope_type": "linear", "factor": 2.0, "use": "${none}", "x": None}
    config = {"rope_scaling": scaling}
    model: Any = resolve(spec, config=config, source="hf", catalog=toys).model
    filled = model.layers[0].mixer.position.scaling
    assert dict(filled) == {"rope_type": "linear", "factor": 2.0, "use": "${none}"}
    assert hash(model) == hash(resolve(spec, config=config, source="hf", catalog=toys).model)
    scaling["factor"] = float("inf")
    assert told(text, toys, config) == [
        ("model.layer.mixer.position.scaling", "expected a finite number, found inf")
    ]


def test_a_broken_plugin_matters_to_nobody_who_does_not_name_it(toys: Catalog) -> None:
    spec = parse_spec(GOOD, toys)
    check(spec, toys)
    assert resolve(spec, config={}, source="hf", catalog=toys).model.hidden == 8


def test_only_named_plugins_are_imported() -> None:
    code = """
import sys
from inferflow_core.block import Position
from inferflow_core.catalog import Catalog
from inferflow_core.spec import find_family, read_spec, resolve
config = {"model_type": "llama", "hidden_size": 8, "vocab_size": 16, "num_hidden_layers": 1}
config |= {"num_attention_heads": 2, "intermediate_size": 8}
catalog = Catalog()
spec = read_spec(find_family(config, "hf", catalog), catalog)
overrides = ["run.samplers=[{use='top_k'}]"]
resolve(spec, config=config, source="hf", catalog=catalog, overrides=overrides)
print(*[name for name in sys.modules if name.startswith("inferflow_")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"inferflow_blocks.decoder_only", "inferflow_samplers.top_k"} <= loaded
    assert "inferflow_samplers.top_p" not in loaded
    assert not [n for n in loaded if n.split(".")[0].endswith(("loaders", "backends", "runtime"))]


def test_many_problems_are_counted_and_cut(toys: Catalog) -> None:
    text = GOOD + "[tokenizer]\n" + "".join(f"k{i} = 1\n" for i in range(100))
    spec = parse_spec(text, toys, label="my.toml")
    with pytest.raises(SpecError) as caught:
        check(spec, toys)
    assert len(caught.value.problems) == 40
    assert str(caught.value).endswith("… and 60 more")


def test_problems_are_typed_and_the_text_is_laid_out(toys: Catalog) -> None:
    text = GOOD.replace("heads = 2", "heads = 2, windw = 5").replace("vocab = 16\n", "")
    spec = parse_spec(text, toys, label="my.toml")
    with pytest.raises(SpecError) as caught:
        check(spec, toys)
    assert all(isinstance(problem, Problem) for problem in caught.value.problems)
    assert str(caught.value) == (
        "my.toml: 2 problems\n"
        "  model.layer.mixer.windw  unknown key of attention. Did you mean 'window'? "
        "(keys: heads, window, position)\n"
        "  model.vocab              missing key of toy: a whole number"
    )


@pytest.mark.parametrize(
    ("table", "path", "message"),
    [
        ("[tokenizer]\nprefix = 'x'", "tokenizer.prefix", "expected a list, each a text"),
        ("[tokenizer]\nbos = [1]", "tokenizer.bos", "expected true or false, found a list"),
        ("[generation]\nstop = ['a']", "generation.stop.0", "expected a whole number, found"),
        (
            "[run]\nsamplers = [{ use = 'rope' }]",
            "run.samplers.0.use",
            "'rope' is a position, not a s",
        ),
        ("[run]\nsamplers = { use = 'top_k' }", "run.samplers", "found a table"),
        ("[model.heads]\na = 'linear_head'", "model.heads.a", "expected a head, a table: { use ="),
    ],
)
def test_the_check_sees_forms_without_a_checkpoint(
    table: str, path: str, message: str, toys: Catalog
) -> None:
    with pytest.raises(SpecError) as caught:
        check(parse_spec(f"{GOOD}{table}\n", toys), toys)
    assert [problem.path for problem in caught.value.problems] == [path]
    assert message in caught.value.problems[0].message
