"""What `plan_memory` says, held against what programs really allocate."""

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from inferflow_runtime.memory import MemoryPlan, plan_memory

import inferflow_core
from inferflow_core.catalog import Catalog
from inferflow_core.interfaces import LoadedModel

SET = ["run.context=1024", "run.max_sequences=4", "run.step_tokens=64", "run.threads=2"]


@pytest.fixture(params=["numpy", "cpu"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """cpu holds small models as float32; here it packs this one, as it would a large one."""
    if request.param == "cpu":
        pytest.importorskip("numba", reason="the cpu backend needs numba")
        monkeypatch.setattr("inferflow_backends.cpu.memory.CACHED_BYTES", 0)
    return request.param


def planned(path: Path, backend: str, **options: Any) -> MemoryPlan:
    return plan_memory(path, catalog=Catalog(), backend=backend, set=SET, **options)


def loaded(path: Path, backend: str) -> LoadedModel:
    """With both kinds of step behind it: inside a prompt, and at its end."""
    model = inferflow_core.load(path, backend=backend, set=SET)
    list(model.generate(ids=[5] * 100, max_tokens=2))
    return model


def held(program: Any) -> tuple[int, int, int]:
    """Bytes of the arrays that a program owns: weights, cache, all else."""
    if not hasattr(program, "_memory"):
        states = program._graph.states
        arrays = program._handles.items()
        weights = sum(array.nbytes for path, array in arrays if path not in states)
        return weights, sum(array.nbytes for path, array in arrays if path in states), 0
    memory = program._memory
    packed = memory._packed.values()
    weights = sum(each.codes.nbytes + each.scales.nbytes for each in packed)
    weights += sum(array.nbytes for array in memory._plain.values())
    tables = [array for pair in memory._tables.values() for array in pair]
    arenas = [b for each in program._compiled.values() for b in each.arena.buffers]
    rest = [*tables, *arenas, *program._columns.values(), program._scratch, memory._parts]
    return (
        weights,
        sum(array.nbytes for array in memory.caches.values()),
        sum(array.nbytes for array in rest),
    )


@pytest.mark.parametrize("file", ["model.gguf", "checkpoint"])
def test_weights_and_cache_to_the_byte(tiny: Path, backend: str, file: str) -> None:
    plan = planned(tiny / file, backend)
    with loaded(tiny / file, backend) as model:
        program: Any = model.engine._program  # pyright: ignore[reportAttributeAccessIssue]
        weights, cache, rest = held(program)
    assert (plan.weight_bytes, plan.cache_bytes) == (weights, cache)
    # An estimate from above. Its buffers are cpu's own but for the borders that they lie on.
    assert rest <= plan.scratch_bytes
    if backend == "cpu":
        assert plan.scratch_bytes <= 1.1 * rest
        assert {one["held"] for one in plan.weights} == (
            {"q8_0", "f32"} if file == "model.gguf" else {"f32"}
        )


def test_what_the_process_takes(tiny: Path, backend: str) -> None:
    """By Python's own account of allocations, numpy's among them.

    Tolerance: 2 MB for what is no array of the program (tokenizer, spec, graph, engine); and from
    below, the part of the scratch that a step never comes to.
    """
    path = tiny / "model.gguf"
    loaded(path, backend).close()
    gc.collect()
    tracemalloc.start()
    try:
        with loaded(path, backend):
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    plan = planned(path, backend)
    assert peak <= plan.needed_bytes + 2_000_000
    assert peak >= plan.weight_bytes + plan.cache_bytes


def test_the_largest_that_fits_is_the_largest_that_opens(tiny: Path, backend: str) -> None:
    path = tiny / "model.gguf"
    least = planned(path, backend, batch=1).needed_bytes
    plan = planned(path, backend, memory=2 * least)
    assert plan.fits
    assert plan.largest_batch is not None
    for batch, fits in ((plan.largest_batch, True), (plan.largest_batch + 1, False)):
        assert planned(path, backend, batch=batch, memory=2 * least).fits is fits
    assert plan.largest_context is not None
    for context, fits in ((plan.largest_context, True), (plan.largest_context + 16, False)):
        settings = [*SET, f"run.context={context}"]
        again = plan_memory(
            path, catalog=Catalog(), backend=backend, set=settings, batch=1, memory=2 * least
        )
        assert again.fits is fits


def test_less_memory_than_the_weights_take(tiny: Path) -> None:
    plan = planned(tiny / "model.gguf", "numpy", memory=1000)
    assert not plan.fits
    assert (plan.largest_context, plan.largest_batch) == (0, 0)


def test_bytes_of_the_file(tiny: Path) -> None:
    """The file is little more than its tensors."""
    plan = planned(tiny / "model.gguf", "numpy")
    size = (tiny / "model.gguf").stat().st_size
    assert 0 < size - sum(one["file_bytes"] for one in plan.weights) < 12_000
    assert plan.parameters == sum(one["numbers"] for one in plan.weights)


def test_nothing_is_read(tiny: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from inferflow_loaders.gguf import GGUFCheckpoint

    def refuse(*_: Any) -> None:
        raise AssertionError("a tensor was read")

    monkeypatch.setattr(GGUFCheckpoint, "read", refuse)
    assert planned(tiny / "model.gguf", backend).weight_bytes > 0
