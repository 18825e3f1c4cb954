"""From what a user calls a model to a running one, and every way in which that fails."""

import gc
import struct
import threading
import weakref
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from inferflow_blocks.encoder_only import EncoderOnly
from inferflow_blocks.learned import Learned
from inferflow_blocks.token_embedding import TokenEmbedding
from inferflow_runtime.backend import choose_backend
from inferflow_runtime.build import usual_context
from inferflow_runtime.sizes import free_memory, plan_sizes

import inferflow_core
from inferflow_core.axes import Axis
from inferflow_core.block import TokenState
from inferflow_core.catalog import Catalog
from inferflow_core.errors import (
    BindingError,
    BrokenEntry,
    EngineError,
    InferflowError,
    ModelFileError,
    RequestError,
    SourceError,
    SpecError,
    TokenizerError,
    UnknownEntry,
    UsageError,
)
from inferflow_core.spec import Run

load = partial(inferflow_core.load, backend="numpy")

DIM, HIDDEN, LAYERS, HEADS, KV, VOCAB, CONTEXT = 16, 24, 2, 4, 2, 40, 64


def write_llama2c(path: Path) -> Path:
    """A llama2.c file (v0, tied) of random weights."""
    rng = np.random.default_rng(0)
    kv = DIM // HEADS * KV
    per_layer = [DIM, DIM * DIM, kv * DIM, kv * DIM, DIM * DIM, DIM, *[HIDDEN * DIM] * 3]
    count = VOCAB * DIM + LAYERS * sum(per_layer) + DIM + 2 * CONTEXT * (DIM // HEADS // 2)
    header = struct.pack("<7i", DIM, HIDDEN, LAYERS, HEADS, KV, VOCAB, CONTEXT)
    path.write_bytes(header + rng.standard_normal(count).astype("<f4").tobytes())
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_llama2c(tmp_path / "tiny.bin")


def write_spec(path: Path, weights: str, more: str = "") -> Path:
    path.write_text(f'spec = 1\nextends = "llama"\n[weights]\n{weights}\n{more}', "utf-8")
    return path


def test_a_file_finds_its_family_and_runs(tiny: Path):
    with load(str(tiny)) as model:
        assert (model.name, model.plan.name, model.engine.context) == ("tiny", "llama", CONTEXT)
        (logits,) = model.logits([[1, 2, 3]])
        assert (logits.shape, logits.dtype) == ((3, VOCAB), np.float32)
        assert model.hidden([[1, 2, 3], [4]])[1].shape == (1, DIM)
        events = list(model.generate(ids=[1, 2, 3], max_tokens=5, temperature=0.0))
        assert events[0].token == logits[-1].argmax()
        assert len(events) == 5


def test_hidden_states_are_to_be_had_between_the_layers(tiny: Path):
    with load(tiny) as model:
        states = [model.hidden([[1, 2, 3]], layer=i)[0] for i in range(LAYERS + 1)]
        assert {state.shape for state in states} == {(3, DIM)}
        assert len({state.tobytes() for state in states}) == LAYERS + 1
        unknown = "no output 'hidden.9'; it has: hidden, logits, hidden.0 to hidden.2"
        with pytest.raises(RequestError, match=unknown):
            model.hidden([[1]], layer=LAYERS + 7)


def test_without_a_backend_the_best_one_is_taken_and_named(tiny: Path, monkeypatch: Any):
    monkeypatch.setattr("inferflow_runtime.backend.PREFERENCE", ("absent", "numpy"))
    with inferflow_core.load(tiny) as model:
        assert model.backend_choice == "numpy (the best that is installed)"


def test_a_spec_file_says_where_the_weights_are_beside_it(tiny: Path):
    spec = write_spec(tiny.with_name("mine.toml"), 'path = "tiny.bin"', "[run]\ncontext = 32\n")
    with load(spec, set={"run.max_sequences": 3}) as model:
        assert (model.name, model.engine.context, model.engine.max_sequences) == ("mine", 32, 3)
        assert model.backend_choice == "numpy, as asked for"
        assert len(list(model.generate(ids=[1] * 30, temperature=0.0))) == 2
    with load(spec, set=["run.context=16"]) as model:
        assert model.engine.context == 16


def test_a_predefined_family_takes_its_weights_from_an_override(tiny: Path):
    with load("llama", set=[f"weights.path={tiny}"]) as model:
        assert model.name == "llama"
    with pytest.raises(SpecError, match=r"weights\.path +missing: this spec describes a family"):
        load("llama")


@pytest.mark.parametrize(
    ("weights", "error", "words"),
    [
        ('path = "gone.bin"', SourceError, "'gone.bin' is not there"),
        ('path = "."\nfile = "gone.bin"', SourceError, "there is no 'gone.bin'"),
        ('path = "inside"\nfile = "../tiny.bin"', SourceError, "leads out of"),
        ('path = "tiny.bin"\nuse = "ggfu"', UnknownEntry, "Did you mean 'gguf'"),
        ('path = "tiny.bin"\nuse = "gguf"', ModelFileError, "tiny.bin"),
    ],
)
def test_wrong_weights_of_a_spec(tiny: Path, weights: str, error: Any, words: str):
    (tiny.parent / "inside").mkdir()
    spec = write_spec(tiny.with_name("mine.toml"), weights)
    with pytest.raises(error, match=words):
        load(spec)


def test_nothing_is_fetched_unless_it_is_asked_for(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setenv("INFERFLOW_CACHE", str(tmp_path))
    with pytest.raises(SourceError, match="has not been fetched") as caught:
        load("smollm2-135m-instruct")
    assert caught.value.hint == "inferflow pull smollm2-135m-instruct"


def test_pull_fetches_through_the_source_that_the_path_names(tiny: Path):
    pulled: list[Any] = []

    class Shelf:
        def pinned(self, reference: str) -> bool:
            return True

        def locate(self, reference: str, *, sha256: str | None = None) -> None:
            return None

        def pull(self, reference: str, *, sha256: str | None, progress: Any) -> Path:
            pulled.append((reference, sha256))
            progress(1, 2)
            return tiny.parent

    catalog = Catalog()
    catalog.add("source", "shelf", Shelf)
    spec = write_spec(
        tiny.with_name("mine.toml"), 'path = "shelf:x"\nfile = "tiny.bin"\nsha256 = "00"'
    )
    seen: list[Any] = []
    model = load(spec, catalog=catalog, pull=lambda *state: seen.append(state))
    model.close()
    assert (pulled, seen) == ([("shelf:x", "00")], [(1, 2)])


def test_a_predefined_spec_may_name_what_its_authors_offer_today(tiny: Path):
    class Shelf:
        def pinned(self, reference: str) -> bool:
            return False

        def locate(self, reference: str, *, sha256: str | None = None) -> Path:
            return tiny

    catalog = Catalog()
    catalog.add("source", "shelf", Shelf)
    spec = write_spec(tiny.with_name("mine.toml"), 'path = "shelf:x"')
    catalog.add("spec", "shelved", spec)
    load("shelved", catalog=catalog).close()
    with pytest.raises(SourceError, match="'shelf:x' is not pinned"):
        load(spec, catalog=catalog)
    with pytest.raises(SourceError, match="'shelf:y' is not pinned"):
        load("shelved", catalog=catalog, set={"weights.path": "shelf:y"})


@pytest.mark.parametrize(
    ("reference", "error", "words"),
    [
        ("lama", SourceError, "no model 'lama'.*Did you mean 'llama'"),
        ("/no/such/model.gguf", SourceError, "neither a file or folder, nor a predefined name"),
        ("none.toml", SpecError, "cannot be read"),
    ],
)
def test_references_that_mean_nothing(reference: str, error: Any, words: str):
    with pytest.raises(error, match=words):
        load(reference)


def test_a_misspelt_file_is_told_its_neighbour(tiny: Path):
    with pytest.raises(SourceError, match=f"Did you mean '.*{tiny.name}'"):
        load(tiny.with_name(tiny.name.replace("i", "j")))


def test_files_that_no_loader_recognises(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ModelFileError, match="no loader recognises it"):
            load(path)


def test_shapes_that_do_not_fit_are_found_before_data_is_read(tiny: Path, monkeypatch: Any):
    from inferflow_loaders.llama2c import Llama2cCheckpoint

    def read(self: Any, name: str) -> Any:
        raise AssertionError("data was read")

    monkeypatch.setattr(Llama2cCheckpoint, "read", read)
    with pytest.raises(BindingError, match=r"layers\.0\.ffn\.gate\.weight|feed_forward\.w1"):
        load(tiny, set=["model.layer.ffn.hidden=20"])
    with pytest.raises(InferflowError, match=r"layer\.mixer .*3 kv_heads"):
        load(tiny, set=["model.layer.mixer.kv_heads=3"])


def test_a_model_without_tokenizer_still_takes_ids(tiny: Path):
    with load(tiny) as model:
        with pytest.raises(TokenizerError, match="no tokenizer"):
            _ = model.tokenizer
        with pytest.raises(TokenizerError):
            model.generate("hello")
        with pytest.raises(RequestError, match="stop strings need a tokenizer"):
            model.generate(ids=[1], stop="x")
        assert [e.text for e in model.generate(ids=[1], max_tokens=2)] == ["", ""]


def test_generate_wants_one_of_three(tiny: Path):
    with load(tiny) as model:
        for arguments in ({}, {"prompt": "a", "ids": [1]}, {"ids": [1], "messages": []}):
            with pytest.raises(RequestError, match="one of"):
                model.generate(**arguments)
        with pytest.raises(RequestError, match="no encoder"):
            model.logits([[1]], encoder=[[1]])


def test_leaving_a_generation_early_cancels_it(tiny: Path):
    with load(tiny) as model:
        for _ in model.generate(ids=[1]):
            break
        gc.collect()
        while model.engine.stats().running:
            pass
        assert model.engine.stats().steps < CONTEXT - 2


def test_a_generation_keeps_its_model_and_a_forgotten_model_closes(tiny: Path):
    events = list(load(tiny).generate(ids=[1], max_tokens=20))
    assert events[-1].finish == "length"
    model = load(tiny)
    engine, gone = model.engine, weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert not engine.stats().alive


def test_closing_twice_is_fine_and_using_it_afterwards_is_an_error(tiny: Path):
    model = load(tiny)
    model.close()
    model.close()
    with pytest.raises(EngineError, match="closed"):
        model.logits([[1]])


def test_a_failed_load_leaves_no_thread_and_no_open_file(tiny: Path):
    files = Path("/proc/self/fd")
    before = threading.active_count(), len(list(files.glob("*")))
    for _ in range(3):
        with pytest.raises(UsageError, match="cache_tokens"):
            load(tiny, set=["run.cache_tokens=1"])
    gc.collect()
    assert (threading.active_count(), len(list(files.glob("*")))) == before


class Fake:
    """A backend that is, or is not, available."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def __call__(self, catalog: Catalog) -> "Fake":
        return self

    def available(self) -> str:
        return self.problem


def backends(**problems: str) -> Catalog:
    catalog = Catalog([])
    for name, problem in problems.items():
        catalog.add("backend", name, Fake(problem))
    return catalog


def test_auto_takes_the_best_backend_that_works_and_says_why():
    catalog = backends(numpy="", cupy="no CUDA device", cpu="no numba")
    assert choose_backend("auto", catalog)[1] == (
        "numpy (not cupy: no CUDA device; not cpu: no numba)"
    )
    assert choose_backend("auto", backends(numpy="", cpu=""))[1].startswith("cpu (")
    with pytest.raises(BrokenEntry, match="not cpu: no numba"):
        choose_backend("auto", backends(cpu="no numba"))
    with pytest.raises(BrokenEntry, match="'cpu' does not work here: no numba"):
        choose_backend("cpu", catalog)
    with pytest.raises(UnknownEntry, match="Did you mean 'numpy'"):
        choose_backend("nunpy", catalog)


STATES = [TokenState((Axis("kv", 64),)), TokenState((Axis("kv", 64),))]
"""512 bytes a token."""


def test_sizes_follow_the_run_and_the_memory():
    sizes = plan_sizes(Run(max_sequences=4, step_tokens=100), 100, STATES, None)
    assert (sizes.pages, sizes.page_tokens, sizes.max_tokens) == (4 * 7 + 1, 16, 100)
    assert (sizes.max_sequences, sizes.context) == (4, 100)
    assert plan_sizes(Run(step_tokens=3), 100, STATES, None).max_sequences == 3
    assert plan_sizes(Run(cache_tokens=1600), 100, STATES, None).pages == 101
    tight = plan_sizes(Run(), 1000, STATES, 4 * 512 * 2000)
    assert tight.pages == 2000 // 16 + 1
    assert plan_sizes(Run(), 1000, STATES, 512 * 1100).pages == 64


def test_a_cache_that_cannot_fit_is_refused():
    with pytest.raises(UsageError, match=r"too few for one sequence of 100") as caught:
        plan_sizes(Run(cache_tokens=90), 100, STATES, None)
    assert caught.value.hint == "set run.context=80 or lower"
    with pytest.raises(UsageError, match=r"5\.1 GB; 0\.1 GB of memory are free"):
        plan_sizes(Run(), 10_000_000, STATES, 100_000_000)
    with pytest.raises(UsageError, match="GB of memory are free"):
        plan_sizes(Run(cache_tokens=10_000_000), 100, STATES, 100_000_000)


def test_free_memory_is_known_on_linux():
    memory = free_memory()
    if Path("/proc/meminfo").exists():
        assert memory is not None
        assert 1 << 20 < memory < 1 << 50


def test_the_usual_context_ends_where_positions_do() -> None:
    """Some configs give the rows of the table, of which the first are nobody's position."""
    config = {"max_position_embeddings": 514}
    for offset, context in ((0, 514), (2, 512)):
        position = Learned(rows=514, offset=offset)
        model = EncoderOnly(hidden=8, vocab=9, embed=TokenEmbedding(position=position), layers=())
        assert usual_context(SimpleNamespace(model=model, config=config)) == context
        assert usual_context(SimpleNamespace(model=model, config={})) == context
