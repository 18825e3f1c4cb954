"""The commands of a conversation: lines that begin with a slash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inferflow_core.errors import UsageError, nearest
from inferflow_server.conversation.files import load, save

if TYPE_CHECKING:
    from inferflow_server.conversation.conversation import Conversation


class Leave(Exception):
    """Ends the conversation."""


@dataclass(frozen=True)
class SlashCommand:
    usage: str
    help: str
    run: Callable[[Conversation, str], bool | None]
    """Gets what follows the name; False where Ctrl-C broke an answer off."""


def obey(conversation: Conversation, line: str) -> bool:
    """Raises UsageError for a command that does not exist or cannot be done, and Leave."""
    name, _, rest = line.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(
            f"no command {name[:60]!r}.{nearest(name, COMMANDS)}",
            hint="/help lists them; a message that begins with a slash needs a space before it",
        )
    return command.run(conversation, rest.strip()) is not False


def _help(conversation: Conversation, rest: str) -> None:
    width = max(len(command.usage) for command in COMMANDS.values())
    for command in COMMANDS.values():
        conversation.note(f"{command.usage:<{width}}  {command.help}")
    conversation.note(
        '"""  begins and ends a text of several lines; \\ at its end continues a line'
    )
    conversation.note("Ctrl-C stops an answer; Ctrl-D, or Ctrl-C twice, ends the conversation")


def _set(conversation: Conversation, rest: str) -> None:
    name, _, value = rest.partition(" ")
    if value:
        conversation.settings.set(name, value.strip())
        return
    rows = [row for row in conversation.settings.rows() if not name or row[0] == name]
    if not rows:
        conversation.settings.set(name, "")
    for row in rows:
        conversation.note(f"{row[0]:<12} {row[1]}")


def _system(conversation: Conversation, rest: str) -> None:
    if rest:
        conversation.tell("" if rest == '""' else rest)
    system = conversation.transcript.system
    conversation.note(f"system: {system}" if system else "system: nothing")


def _save(conversation: Conversation, rest: str) -> None:
    transcript, saved = conversation.transcript, conversation.saved
    path = _path(rest, saved[0] if saved else None)
    known = saved is not None and Path(saved[0]) == path
    save(transcript.to_json(conversation.answers.name), path, replace=known)
    conversation.saved = (str(path), list(transcript.turns))
    conversation.note(f"saved to {path}")


def _load(conversation: Conversation, rest: str) -> None:
    turns = conversation.transcript.turns
    if turns and (conversation.saved is None or conversation.saved[1] != turns):
        raise UsageError(
            "what was said here would be lost", hint="/save FILE keeps it, /clear drops it"
        )
    path = _path(rest, None)
    transcript = load(path)
    if transcript.system and not conversation.answers.chat:
        raise UsageError(f"{path} has a system text; this model has no chat template")
    conversation.transcript = transcript
    conversation.saved = (str(path), list(transcript.turns))
    conversation.note(f"{len(transcript.turns)} turns from {path}")


def _path(text: str, default: str | None) -> Path:
    if not text and default is None:
        raise UsageError("which file?", hint="write its name after the command")
    return Path(text or str(default)).expanduser().absolute()


def _clear(conversation: Conversation, rest: str) -> None:
    conversation.transcript.turns.clear()
    conversation.transcript.left_out = 0
    conversation.note("(cleared: the system text and the settings stay)")


def _undo(conversation: Conversation, rest: str) -> None:
    conversation.transcript.pop()
    conversation.note(f"(taken back; {len(conversation.transcript.turns)} turns are left)")


def _retry(conversation: Conversation, rest: str) -> bool:
    return conversation.retry()


def _stats(conversation: Conversation, rest: str) -> None:
    if conversation.report is None:
        raise UsageError("nothing has been answered yet")
    conversation.note(conversation.report)


def _exit(conversation: Conversation, rest: str) -> None:
    raise Leave


COMMANDS: Mapping[str, SlashCommand] = {
    "/help": SlashCommand("/help", "This list.", _help),
    "/set": SlashCommand(
        "/set NAME VALUE", "A setting; `default` takes it back. /set alone shows all.", _set
    ),
    "/system": SlashCommand(
        "/system TEXT", 'What the model is told first; "" for nothing.', _system
    ),
    "/save": SlashCommand("/save FILE", "Write the conversation as JSON to a new file.", _save),
    "/load": SlashCommand("/load FILE", "Go on with a conversation that was saved.", _load),
    "/clear": SlashCommand("/clear", "Forget what was said.", _clear),
    "/undo": SlashCommand("/undo", "Take the last question and its answer back.", _undo),
    "/retry": SlashCommand("/retry", "Ask the last question again.", _retry),
    "/stats": SlashCommand("/stats", "How fast the last answer was.", _stats),
    "/exit": SlashCommand("/exit", "End the conversation.", _exit),
}
