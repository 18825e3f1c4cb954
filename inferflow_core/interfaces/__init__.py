"""The interfaces between the parts: what a loader, format, tokenizer, sampler, backend, engine and
source must be. Blocks have their own (`block.py`). Arrays are numpy's unless a backend says else.
"""

from inferflow_core.interfaces.backend import (
    Backend,
    ExaminedBackend,
    Finding,
    Footprint,
    FootprintBackend,
    Held,
    LayoutBackend,
    PassBackend,
)
from inferflow_core.interfaces.engine import Engine, Prompt, Request, Stats, Stream, TokenEvent
from inferflow_core.interfaces.loaded_model import LoadedModel
from inferflow_core.interfaces.model_files import (
    Checkpoint,
    Format,
    LaidOut,
    LaidOutWeight,
    Loader,
    TensorInfo,
    Weight,
)
from inferflow_core.interfaces.predictions import Fill, TokenLabel
from inferflow_core.interfaces.program import (
    OpTime,
    Profiled,
    Program,
    ProgramEntry,
    Sizes,
    Step,
    Ticket,
)
from inferflow_core.interfaces.sampler import RankedSampler, Sampler, SampleStep
from inferflow_core.interfaces.source import Source
from inferflow_core.interfaces.tokenizer import (
    Multilingual,
    StreamDecoder,
    Tokenizer,
    TokenizerEntry,
)

__all__ = [
    "Backend",
    "Checkpoint",
    "Engine",
    "ExaminedBackend",
    "Fill",
    "Finding",
    "Footprint",
    "FootprintBackend",
    "Format",
    "Held",
    "LaidOut",
    "LaidOutWeight",
    "LayoutBackend",
    "LoadedModel",
    "Loader",
    "Multilingual",
    "OpTime",
    "PassBackend",
    "Profiled",
    "Program",
    "ProgramEntry",
    "Prompt",
    "RankedSampler",
    "Request",
    "SampleStep",
    "Sampler",
    "Sizes",
    "Source",
    "Stats",
    "Step",
    "Stream",
    "StreamDecoder",
    "TensorInfo",
    "Ticket",
    "TokenEvent",
    "TokenLabel",
    "Tokenizer",
    "TokenizerEntry",
    "Weight",
]
