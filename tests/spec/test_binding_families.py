"""From spec and checkpoint to weights, on real files of every source."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from inferflow_runtime.weights import bind_weights

from inferflow_core.block import all_aliases, all_params
from inferflow_core.errors import BindingError
from inferflow_core.spec import find_family, read_spec, resolve
from inferflow_core.spec.binding import bind, provided
from inferflow_core.spec.names_reader import read_names

FILES = {
    **{
        f"families/{name}/model": ("safetensors" if name[0] in "lmy" else "pickle")
        for name in ("llama2_7b", "llama2_13b_chat", "yi_6b_200k", "yi_34b_chat")
    },
    "families/mistral_7b_instruct_v02/model": "safetensors",
    "families/fusellm_7b/model": "pickle",
    "families/xverse_13b_chat/model": "pickle",
    **{f"formats/gguf_llama/tiny-llama-{kind}.gguf": "gguf" for kind in ("f32", "bf16", "q4_1")},
    "formats/gguf_kquants/tiny256-q4_k_m.gguf": "gguf",
    "formats/llama2c_shared/model.bin": "llama2c",
    "formats/llama2c_unshared_gqa/model.bin": "llama2c",
}


def opened(catalog, path: Path, loader: str, overrides=()):
    """The checkpoint, its name map, and the model that its own spec makes of it."""
    checkpoint = catalog.get("loader", loader)().open(path)
    family = find_family(checkpoint.config, checkpoint.source, catalog)
    plan = resolve(
        read_spec(family, catalog),
        config=checkpoint.config,
        source=checkpoint.source,
        catalog=catalog,
        overrides=overrides,
    )
    names = read_names(plan.names, partial(catalog.get, "names"))
    model = plan.model.decide(provided(names, checkpoint.tensors).__contains__)
    return checkpoint, names, model, model.dims(64)


@pytest.mark.installed
@pytest.mark.parametrize("file", FILES)
def test_a_checkpoint_binds_and_its_numbers_are_there(shared, installed, file):
    path = shared / "oracles" / file
    checkpoint, names, model, dims = opened(installed, path, FILES[file])
    params = all_params(model, dims)
    bindings = bind(
        names,
        params,
        checkpoint.tensors,
        aliases=all_aliases(model, dims),
        config=checkpoint.config,
        where=str(path),
    )
    weights = bind_weights(bindings, checkpoint, installed)
    assert weights.keys() == params.keys() - all_aliases(model, dims).keys()
    for name, weight in weights.items():
        values = weight.values()
        assert values.shape == params[name].shape
        assert np.isfinite(values).all()
        assert values.std() > 0
        form = installed.get("format", weight.format)()
        np.testing.assert_array_equal(form.unpack(weight.packed(), weight.shape), values)
    checkpoint.close()


@pytest.mark.installed
def test_too_few_layers_and_too_wide_a_layer_are_told_before_data_is_read(shared, installed):
    path = shared / "oracles/families/llama2_7b/model"
    wrong = ["model.layer.ffn.hidden=7", "model.depth=1"]
    checkpoint, names, model, dims = opened(installed, path, "safetensors", wrong)
    with pytest.raises(BindingError) as caught:
        bind(names, all_params(model, dims), checkpoint.tensors, where="llama2_7b")
    message = str(caught.value)
    assert "layers.0.ffn.up.weight needs [7, " in message
    assert "the model has 1 layers there, 0..0" in message
