"""A conversation at the terminal."""

from collections.abc import Mapping, Sequence

from inferflow_server.answer_text import note_answer, write_answer
from inferflow_server.conversation.answers import Answers
from inferflow_server.conversation.conversation import Conversation
from inferflow_server.conversation.input_history import InputHistory, history_path
from inferflow_server.conversation.lines import Entries
from inferflow_server.conversation.settings import Settings
from inferflow_server.conversation.terminal import Terminal


def converse(
    answers: Answers,
    settings: Settings,
    *,
    given: Mapping[str, float | str | None],
    stop: Sequence[str] = (),
    system: str | None = None,
    history: bool = True,
    stats: bool = False,
) -> None:
    """Until the person ends it. `given`: settings of the command line, None where absent. Raises
    UsageError for those that are wrong."""
    give(settings, given)
    settings.stop = tuple(stop)
    conversation = Conversation(
        answers, settings, write=write_answer, note=note_answer, system=system, stats=stats
    )
    terminal = Terminal(InputHistory(history_path()) if history else None)
    conversation.run(Entries(terminal))


def give(settings: Settings, given: Mapping[str, float | str | None]) -> None:
    """Takes over the options of a command, None where absent. Raises UsageError."""
    for name, value in given.items():
        if value is not None:
            settings.set(name, str(value))
