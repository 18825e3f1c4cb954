"""Where a conversation's answers come from: what a model here, or a server, must offer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from inferflow_core.errors import RequestError
from inferflow_server.conversation.settings import Settings

Messages = Sequence[Mapping[str, str]]


class TooLong(RequestError):
    """The messages leave no room for an answer in the model's context."""


class Answer(Protocol):
    """An answer under way: iterate its pieces of text, once."""

    finish: str | None
    """`stop` or `length`; None until the end."""

    def __iter__(self) -> Iterator[str]:
        """Raises InferflowError where the answer fails."""
        ...

    def cancel(self) -> None:
        """Ends it; after its end, nothing."""
        ...

    def report(self) -> str:
        """How fast it was, in lines for a person."""
        ...


class Answers(Protocol):
    name: str
    """The model's."""
    chat: bool
    """Whether it takes messages; else a text, which it continues."""
    reads_source: bool
    """Whether a text is instead what an encoder reads, as that of a translation."""
    context: int | None
    """Tokens of prompt and answer together, where that is known."""

    def start(self, messages: Messages, settings: Settings) -> Answer:
        """The answer to `messages`: as a chat the whole conversation, else one message, whose text
        goes on. Raises TooLong, RequestError, TemplateError, EngineError."""
        ...
