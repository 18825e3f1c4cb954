"""What was said: the turns of a conversation, and their JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inferflow_core.errors import UsageError


@dataclass(frozen=True)
class Turn:
    question: str
    answer: str
    stopped: bool = False
    """Whether the answer was broken off, so that its text is only its beginning."""


@dataclass
class Transcript:
    system: str | None = None
    turns: list[Turn] = field(default_factory=list[Turn])
    left_out: int = 0
    """So many of the oldest turns are not sent any more: they do not fit into the context."""

    def messages(self, question: str) -> list[dict[str, str]]:
        """What a model is to answer."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns[self.left_out :]:
            messages.append({"role": "user", "content": turn.question})
            messages.append({"role": "assistant", "content": turn.answer})
        return [*messages, {"role": "user", "content": question}]

    def pop(self) -> Turn:
        """Takes the last turn back. Raises UsageError where there is none."""
        if not self.turns:
            raise UsageError("nothing has been said yet")
        turn = self.turns.pop()
        self.left_out = min(self.left_out, len(self.turns))
        return turn

    def to_json(self, model: str) -> dict[str, Any]:
        """`{"model", "messages"}`; an assistant's message that was broken off has `stopped`."""
        messages: list[dict[str, Any]] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        for turn in self.turns:
            messages.append({"role": "user", "content": turn.question})
            stopped = {"stopped": True} if turn.stopped else {}
            messages.append({"role": "assistant", "content": turn.answer, **stopped})
        return {"model": model, "messages": messages}


def from_json(data: Any) -> Transcript:
    """The inverse of `to_json`. Raises UsageError that says where it is not one."""
    messages = data.get("messages") if isinstance(data, Mapping) else None
    if not isinstance(messages, list):
        raise UsageError('it is no conversation: it has no list "messages"')
    system = None
    if messages and _is(messages[0], "system"):
        system = messages[0]["content"]
        messages = messages[1:]
    return Transcript(system, _turns(messages))


def _turns(messages: Sequence[Any]) -> list[Turn]:
    if len(messages) % 2:
        raise UsageError("it is no conversation: its last message has no answer")
    turns: list[Turn] = []
    for i in range(0, len(messages), 2):
        question, answer = messages[i : i + 2]
        for message, role in ((question, "user"), (answer, "assistant")):
            if not _is(message, role):
                where = f"among its messages, after {2 * len(turns)} that are right,"
                raise UsageError(
                    f'it is no conversation: {where} one with "role": "{role}" and a text as '
                    '"content" is missing'
                )
        turns.append(Turn(question["content"], answer["content"], answer.get("stopped") is True))
    return turns


def _is(message: Any, role: str) -> bool:
    return (
        isinstance(message, Mapping)
        and message.get("role") == role
        and isinstance(message.get("content"), str)
    )
