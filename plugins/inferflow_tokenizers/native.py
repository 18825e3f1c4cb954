"""The guarded door to the `tokenizers` library.

It is native code: a malformed definition or text can end in a panic, which Python sees as an
exception outside of `Exception`. Everything that comes out of it becomes an InferflowError here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tokenizers import Tokenizer as Native

from inferflow_core.errors import InferflowError, RequestError
from inferflow_tokenizers.limits import MAX_TEXT


@contextmanager
def guarded(error: Callable[[str], InferflowError]) -> Iterator[None]:
    """Turns everything that the library raises, panics included, into `error(cause)`."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, InferflowError):
        raise
    except BaseException as cause:
        raise error(f"{type(cause).__name__}: {str(cause)[:300]}") from cause


def check_text(text: str) -> None:
    """Raises RequestError for a text that is too long or is not Unicode."""
    if len(text) > MAX_TEXT:
        raise RequestError(f"a text of {len(text)} characters is too long; at most {MAX_TEXT}")
    try:
        text.encode()
    except UnicodeEncodeError as cause:
        raise RequestError(
            f"the text holds {text[cause.start]!r} at character {cause.start}: half of a "
            "surrogate pair, which is not Unicode text"
        ) from None


def build(definition: str, error: Callable[[str], InferflowError]) -> Native:
    """A library tokenizer from the text of a tokenizer.json, without truncation or padding."""
    with guarded(error):
        native = Native.from_str(definition)
        native.no_truncation()
        native.no_padding()
    return native
