"""`--set`: any field of the block, in every family; a typo is an error."""

from typing import Any

import pytest

from inferflow_core.catalog import Catalog
from inferflow_core.errors import SpecError
from inferflow_core.spec import Plan, parse_spec, resolve
from inferflow_core.spec.overrides import typed

TEXT = """spec = 1
[config]
kv = 2
[weights]
names = { hf = "hf_llama", gguf = "gguf" }
[tokenizer]
use = "auto"
prefix = ["a"]
[model]
use = "toy"
hidden = 8
vocab = 16
depth = 3
norm = { use = "rms_norm", eps = 1e-6 }
[model.layer]
case = { first = 1 }
[model.layer.of.true]
use = "pre_norm"
norm = "${model.norm}"
mixer = { use = "attention", heads = "${config.heads}", position = { use = "rope" } }
ffn = { use = "mlp", act = "silu" }
[model.layer.of.false]
use = "pre_norm"
norm = "${model.norm}"
mixer = "${model.layer.of.true.mixer}"
ffn = "${model.layer.of.true.ffn}"
"""


def plan(catalog: Catalog, *overrides: str, more: dict[str, Any] | None = None) -> Plan:
    return resolve(
        parse_spec(TEXT, catalog),
        config={"heads": 2, "x": 1},
        source="hf",
        catalog=catalog,
        overrides=overrides if more is None else more,
    )


GOOD: list[tuple[str, str, Any]] = [
    ("model.layer.mixer.window=1024", "layers.0.mixer.window", 1024),
    ("model.layer.mixer.window=1024", "layers.2.mixer.window", 1024),
    ("model.layer.mixer.position.theta=5", "layers.1.mixer.position.theta", 5.0),
    ("model.layer.of.false.ffn.hidden=32", "layers.0.ffn.hidden", None),
    ("model.layer.of.false.ffn.hidden=32", "layers.1.ffn.hidden", 32),
    ("model.layer.norm.eps=0.5", "layers.1.norm.eps", 0.5),
    ("model.layer.norm.eps=0.5", "norm.eps", 1e-6),
    ("model.norm.eps=0.5", "layers.1.norm.eps", 0.5),
    ("model.layer.ffn.act=gelu_new", "layers.1.ffn.act", "gelu_tanh"),
    ("model.layer.mixer.position={ use = 'alibi' }", "layers.1.mixer.position.max_bias", 8.0),
    ("model.layer.mixer.position.use=alibi", "layers.1.mixer.position.max_bias", 8.0),
    ("model.norm.use=rms_norm", "norm.eps", 1e-5),
    ("model.norm=${none}", "norm", None),
    ('model."norm".eps = 2', "norm.eps", 2.0),
    ("model.layer.mixer.heads=${config.kv}", "layers.0.mixer.heads", 2),
]


@pytest.mark.parametrize(("text", "path", "expected"), GOOD)
def test_sets_a_field(text: str, path: str, expected: Any, toys: Catalog) -> None:
    if text == "model.norm=${none}":
        overrides = (text, "model.layer.of.true.norm=${none}", "model.layer.of.false.norm=${none}")
    else:
        overrides = (text,)
    value: Any = plan(toys, *overrides).model
    for part in path.split("."):
        value = value[int(part)] if part.isdigit() else getattr(value, part)
    assert value == expected


def test_sets_run_tokenizer_and_weights(toys: Catalog) -> None:
    found = plan(
        toys,
        "run.backend=numpy",
        "run.max_queue=7",
        "run.samplers=[{ use = 'greedy', limit = 2 }]",
        "tokenizer.use=tokenizer_json",
        "weights.use=gguf",
    )
    assert (found.run.backend, found.run.max_queue) == ("numpy", 7)
    assert len(found.run.samplers) == 1
    assert dict(found.tokenizer) == {"use": "tokenizer_json", "prefix": ("a",)}
    assert found.names == "hf_llama"
    assert found.weights["use"] == "gguf"


def test_the_last_one_wins_and_a_mapping_serves(toys: Catalog) -> None:
    model: Any = plan(toys, "model.norm.eps=1", "model.norm.eps=3").model
    assert model.norm.eps == 3.0
    model = plan(toys, more={"model.layer.mixer.window": 9}).model
    assert model.layers[2].mixer.window == 9


def test_layers_of_one_kind_can_be_laid_over_twice(toys: Catalog) -> None:
    model: Any = plan(toys, "model.layer.mixer.window=9", "model.layer.mixer.heads=4").model
    assert (model.layers[1].mixer.window, model.layers[1].mixer.heads) == (9, 4)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            "model.layer.mixer.windw=5",
            "model.layer.mixer.windw",
            "unknown key of attention. Did you mean 'window'? (keys: heads, window, position)",
        ),
        ("model.norm.eps=tiny", "model.norm.eps", "expected a number, found the text 'tiny'"),
        (
            "run.bakend=numpy",
            "run.bakend",
            "unknown key of run. Did you mean 'backend'? (keys: backend, engine, context, "
            "max_sequences, step_tokens, page_tokens, cache_tokens, cache, activations, threads, "
            "skip_passes, prefix_cache, max_queue, samplers)",
        ),
        (
            "run.backend=numpie",
            "run.backend",
            "no backend named 'numpie'. Did you mean 'numpy'? (have: cpu, numpy)",
        ),
        (
            "modle.norm.eps=1",
            "modle.norm.eps",
            "--set: sets keys of the tables config, weights, tokenizer, generation, model, run. "
            "Did you mean 'model'?",
        ),
        (
            "match=1",
            "match",
            "--set: sets keys of the tables config, weights, tokenizer, generation, model, run.",
        ),
        ("run.backend", "run.backend", "--set: expected KEY=VALUE"),
        ("=5", "=5", "--set: expected KEY=VALUE"),
        ("run..x=5", "run..x", "--set: no dotted key"),
        ("run.x y=5", "run.x y", "--set: no dotted key"),
        (
            "config.heads=9",
            "config.heads",
            "the checkpoint says 2; [config] adds, it never overrides",
        ),
        ("config.hedds=9", "config.hedds", "nothing asks for it. Did you mean 'heads'?"),
        ("model.hidden.x=9", "model.hidden", "expected a whole number, found a table"),
        (
            "run.max_queue=99999999999999999999",
            "run.max_queue",
            "a whole number beyond 64 bits",
        ),
    ],
)
def test_a_mistake_is_an_error(text: str, path: str, message: str, toys: Catalog) -> None:
    with pytest.raises(SpecError) as caught:
        plan(toys, text)
    assert [(one.path, one.message) for one in caught.value.problems] == [(path, message)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("1e-5", 1e-5),
        ("true", True),
        ("numpy", "numpy"),
        ('"1"', "1"),
        ("[1, 2]", [1, 2]),
        ("", ""),
        ("0&1;2&3", "0&1;2&3"),
        ("1\nother = 2", "1\nother = 2"),
        ("{ a = 1 }", {"a": 1}),
        ("[" * 3000, "[" * 3000),
    ],
)
def test_values_are_typed_as_in_toml(text: str, expected: Any) -> None:
    assert typed(text) == expected
    assert type(typed(text)) is type(expected)
