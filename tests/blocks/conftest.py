"""The networks of `transformers`, as references for single blocks."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import pytest


class Reference:
    """transformers, in float64."""

    def __init__(self, torch: Any, transformers: Any) -> None:
        self.torch, self.transformers = torch, transformers

    def code(self, name: str) -> Any:
        """The module with the network of a family."""
        return import_module(f"transformers.models.{name}.modeling_{name}")

    def config(self, name: str, **values: Any) -> Any:
        config = self.transformers.AutoConfig.for_model(name, **values)
        config._attn_implementation = "eager"
        return config

    def filled(self, module: Any, weights: Mapping[str, Any]) -> Any:
        """The network with these weights, and none left as it was."""
        tensors = {name: self.tensor(array) for name, array in weights.items()}
        module = module.double().eval()
        module.load_state_dict(tensors, strict=True)
        return module

    def tensor(self, numbers: Any) -> Any:
        """Floats become float64."""
        array = np.asarray(numbers)
        return self.torch.tensor(array.astype(np.float64) if array.dtype.kind == "f" else array)

    def run(self, module: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
        """The first output as an array, without the axis of the batch."""
        with self.torch.no_grad():
            result = module(*inputs, **named)
        result = result[0] if isinstance(result, tuple) else result
        return result.squeeze(0).numpy()

    def mask(self, seen: Any) -> Any:
        """What is added to the scores, from bool [queries, keys]."""
        return self.tensor(np.where(seen, 0.0, -np.inf))[None, None]


@pytest.fixture(scope="session")
def reference() -> Reference:
    torch = pytest.importorskip("torch", reason="compares with torch, of the extra `parity`")
    torch.set_num_threads(1)
    return Reference(torch, pytest.importorskip("transformers", reason="of the extra `parity`"))
