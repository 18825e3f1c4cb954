"""A conversation without a terminal: what is typed, what is asked, what is kept."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from inferflow_server.conversation.answers import TooLong
from inferflow_server.conversation.conversation import Conversation
from inferflow_server.conversation.lines import Entries, Entry
from inferflow_server.conversation.settings import Settings
from inferflow_server.conversation.transcript import Turn

from inferflow_core.errors import EngineError


@dataclass
class Scripted:
    """Says `pieces`; an exception among them is raised."""

    pieces: Sequence[Any]
    finish: str | None = "stop"
    cancelled: bool = False

    def __iter__(self) -> Iterator[str]:
        for piece in self.pieces:
            if isinstance(piece, str):
                yield piece
            else:
                raise piece

    def cancel(self) -> None:
        self.cancelled = True

    def report(self) -> str:
        return f"fast: {len(self.pieces)}"


@dataclass
class Reciter:
    """Holds `room` messages; remembers what it was asked."""

    name: str = "reciter"
    chat: bool = True
    reads_source: bool = False
    context: int | None = 512
    room: int = 100
    script: list[Scripted] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    answers: list[Scripted] = field(default_factory=list)

    def start(self, messages: Any, settings: Settings) -> Scripted:
        if len(messages) > self.room:
            raise TooLong("this message is too long")
        self.asked.append([f"{m['role'][0]}:{m['content']}" for m in messages])
        answer = self.script.pop(0) if self.script else Scripted(["Yes", "."])
        self.answers.append(answer)
        return answer


class Talk:
    """A conversation, and all that it wrote."""

    def __init__(self, answers: Reciter | None = None, **options: Any) -> None:
        self.answers = answers or Reciter()
        self.out = ""
        self.notes: list[str] = []

        def check(values: Any) -> str:
            return "" if values["heat"] >= 0 else "heat is below 0"

        self.settings = Settings({"heat": 1.0, "chill": None}, check)
        self.conversation = Conversation(
            self.answers,
            self.settings,
            write=self._write,
            note=self.notes.append,
            **options,
        )

    def _write(self, text: str) -> None:
        self.out += text

    def __call__(self, *lines: Any) -> str:
        """Runs it on these lines (an exception is raised in place of one); gives its notes."""
        rest = iter(lines)
        self.prompts: list[str] = []

        def read(prompt: str) -> str:
            self.prompts.append(prompt)
            line = next(rest, EOFError())
            if isinstance(line, BaseException | type):
                raise line
            return line

        self.notes.clear()
        self.conversation.run(Entries(read))
        return "\n".join(self.notes)

    @property
    def turns(self) -> list[Turn]:
        return self.conversation.transcript.turns


def entries(*lines: str) -> list[Entry]:
    rest = iter(lines)

    def read(prompt: str) -> str:
        try:
            return next(rest)
        except StopIteration:
            raise EOFError from None

    source = Entries(read)
    found: list[Entry] = []
    while (entry := source.read()) is not None:
        found.append(entry)
    return found


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["hi ", "/help"], [Entry("hi"), Entry("/help", True)]),
        ([" /not a command"], [Entry("/not a command")]),
        (["one \\", "two\\", "three"], [Entry("one \ntwo\nthree")]),
        (["/set a \\", "b"], [Entry("/set a \nb")]),
        (['"""one', "", '  two"""', "x"], [Entry("one\n\n  two"), Entry("x")]),
        (['"""', "/save", 'a """ b', '"""'], [Entry('/save\na """ b')]),
        (['"""whole"""'], [Entry("whole")]),
        (['""""""'], [Entry("")]),
        (['"""never', "closed"], [Entry("never\nclosed")]),
        (["open \\"], [Entry("open")]),
        (["pasted\n/two"], [Entry("pasted\n/two")]),
        (["/pasted\ntwo"], [Entry("/pasted\ntwo")]),
    ],
)
def test_lines_become_messages(lines: list[str], expected: list[Entry]) -> None:
    assert entries(*lines) == expected


def test_every_turn_is_sent_again() -> None:
    talk = Talk(system="Be brief.")
    notes = talk("one", "", "two", "/system Be kind.", "three", "/system ''")
    assert talk.answers.asked == [
        ["s:Be brief.", "u:one"],
        ["s:Be brief.", "u:one", "a:Yes.", "u:two"],
        ["s:Be kind.", "u:one", "a:Yes.", "u:two", "a:Yes.", "u:three"],
    ]
    assert talk.out == "Yes.\nYes.\nYes.\n"
    assert notes.startswith("reciter · context 512 tokens")
    assert all(answer.cancelled for answer in talk.answers.answers)


def test_ctrl_c_stops_one_answer_and_keeps_what_was_said(tmp_path: Path) -> None:
    stopped = Scripted(["Well, ", "it", KeyboardInterrupt()])
    nothing = Scripted([KeyboardInterrupt()])
    talk = Talk(Reciter(script=[stopped, nothing]))
    notes = talk("one", "two", "three", f"/save {tmp_path / 'c.json'}")
    assert talk.out == "Well, it\nYes.\n"
    assert "(stopped)" in notes
    assert "nothing was said" in notes
    assert stopped.cancelled
    assert talk.answers.asked[-1] == ["u:one", "a:Well, it", "u:three"]
    assert json.loads((tmp_path / "c.json").read_text())["messages"][1] == {
        "role": "assistant",
        "content": "Well, it",
        "stopped": True,
    }


def test_ctrl_c_twice_ends() -> None:
    talk = Talk()
    talk("one", KeyboardInterrupt, "two", KeyboardInterrupt, KeyboardInterrupt, "three")
    assert [turn.question for turn in talk.turns] == ["one", "two"]
    talk = Talk(Reciter(script=[Scripted(["a", KeyboardInterrupt()])]))
    talk("one", KeyboardInterrupt, "two")
    assert len(talk.turns) == 1
    assert Talk()(KeyboardInterrupt, EOFError).count("Ctrl-C once more") == 1


def test_an_answer_that_fails_keeps_its_beginning_and_the_conversation() -> None:
    failing = Scripted(["So", EngineError("no ink", hint="buy some")])
    talk = Talk(Reciter(script=[failing]))
    notes = talk("one", "two")
    assert "Error: no ink" in notes
    assert "Hint: buy some" in notes
    assert [(turn.answer, turn.stopped) for turn in talk.turns] == [("So", True), ("Yes.", False)]


def test_the_oldest_turns_are_left_out_when_they_do_not_fit(tmp_path: Path) -> None:
    talk = Talk(Reciter(room=4), system="s")
    file = tmp_path / "c.json"
    notes = talk("one", "two", "three", "four", f"/save {file}")
    assert talk.answers.asked[-2:] == [
        ["s:s", "u:two", "a:Yes.", "u:three"],
        ["s:s", "u:three", "a:Yes.", "u:four"],
    ]
    assert notes.count("its oldest turn is left out from here on. /clear begins anew") == 2
    assert len(json.loads(file.read_text())["messages"]) == 9
    talk.answers.room = 1
    assert "Error: this message is too long" in talk("five")
    talk.answers.room = 4
    talk("six")
    assert talk.answers.asked[-1][-1] == "u:six"


def test_an_answer_that_is_cut_off_says_why() -> None:
    talk = Talk(Reciter(script=[Scripted(["a"], "length"), Scripted(["b"], "length")]))
    notes = talk("one", "/set max_tokens 3", "two")
    assert "no room is left" in notes
    assert "max_tokens is reached" in notes


def test_settings_are_checked_at_once() -> None:
    talk = Talk()
    for line, words in {
        "/set heet 1": "no setting 'heet'. Did you mean 'heat'?",
        "/set heat hot": "must be a number",
        "/set heat nan": "must be a number",
        "/set heat -1": "heat is below 0",
        "/set max_tokens 0": "at least 1",
        "/set max_tokens 1.5": "whole number",
        "/set seed x": "whole number",
        "/set heat": "heat         1",
        "/set nothing": "no setting",
    }.items():
        assert words in talk(line), line
    assert talk.settings.sampling == {}
    talk("/set heat 0.5", "/set seed 7", "/set max_tokens 9", "/set stop the end")
    assert talk.settings.sampling == {"heat": 0.5}
    settings = talk.settings
    assert (settings.seed, settings.max_tokens, settings.stop) == (7, 9, ("the end",))
    shown = talk("/set")
    assert "heat         0.5" in shown
    assert "chill        the server's" in shown
    assert "stop         'the end'" in shown
    talk("/set heat default", "/set seed default", "/set stop default")
    assert (settings.sampling, settings.seed, settings.stop) == ({}, None, ())


def test_undo_retry_clear_and_stats() -> None:
    talk = Talk(stats=True)
    assert "fast: 2" in talk("one", "two", "/undo", "/stats")
    assert [turn.question for turn in talk.turns] == ["one"]
    talk.answers.script = [Scripted(["Perhaps."]), Scripted([KeyboardInterrupt()])]
    talk("/retry")
    assert talk.turns == [Turn("one", "Perhaps.")]
    assert talk.answers.asked[-1] == ["u:one"]
    talk("/retry")
    assert talk.turns == [Turn("one", "Perhaps.")]
    assert "the seed is set" in talk("/set seed 1", "/retry")
    assert talk.turns == [Turn("one", "Yes.")]
    talk("/clear", "two")
    assert talk.answers.asked[-1] == ["u:two"]
    assert "nothing has been said" in Talk()("/undo")
    assert "nothing has been answered" in Talk()("/stats")


def test_help_names_every_command_and_a_wrong_one_its_nearest() -> None:
    talk = Talk()
    notes = talk("/help", "/hlep", "/exit now", "never read")
    for name in ("/set", "/system", "/save", "/load", "/clear", "/undo", "/retry", "/stats"):
        assert name in notes
    assert "no command '/hlep'. Did you mean '/help'?" in notes
    assert talk.turns == []


def test_save_never_overwrites_what_it_does_not_know(tmp_path: Path) -> None:
    file = tmp_path / "a file.json"
    talk = Talk()
    assert "saved to" in talk("one", f"/save {file}", "two", "/save")
    assert len(json.loads(file.read_text())["messages"]) == 4
    assert "is there already" in Talk()("one", f"/save {file}")
    assert len(json.loads(file.read_text())["messages"]) == 4
    assert "which file?" in Talk()("one", "/save")
    assert "cannot write" in talk(f"/save {tmp_path}/no/where")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_load_goes_on_where_a_conversation_was(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    first = Talk(Reciter(script=[Scripted(["We", KeyboardInterrupt()])]), system="s")
    first("one", f"/save {file}")
    talk = Talk()
    assert "1 turns from" in talk(f"/load {file}", "two")
    assert talk.answers.asked == [["s:s", "u:one", "a:We", "u:two"]]
    assert talk.turns[0].stopped
    assert "would be lost" in talk(f"/load {file}")
    assert len(talk.turns) == 2
    assert "has no chat template" in Talk(Reciter(chat=False))(f"/load {file}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot read"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("\xff", "is no JSON"),
        ("[]", 'no list "messages"'),
        ('{"messages": 5}', 'no list "messages"'),
        ('{"messages": [{"role": "user", "content": "x"}]}', "no answer"),
        ('{"messages": [1, 2]}', '"role": "user"'),
        ('{"messages": [{"role": "user", "content": "x"}, {"role": "user"}]}', '"assistant"'),
        ('{"messages": [{"role": "system"}]}', "no answer"),
    ],
)
def test_files_that_are_no_conversation(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "c.json"
    if text is not None:
        file.write_text(text, "latin-1")
    talk = Talk()
    talk("one")
    talk.conversation.saved = ("", list(talk.turns))
    notes = talk(f"/load {file}")
    assert words in notes
    assert len(talk.turns) == 1


def test_without_a_chat_template_each_text_stands_alone() -> None:
    talk = Talk(Reciter(chat=False))
    notes = talk("one", "two", "/system x")
    assert talk.answers.asked == [["u:one"], ["u:two"]]
    assert "continues each text, alone" in notes
    assert "needs a chat template" in notes
