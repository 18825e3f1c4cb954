"""The conversation itself: takes what is typed, asks, keeps what was said."""

from collections.abc import Callable

from inferflow_core.errors import InferflowError, UsageError
from inferflow_server.conversation.answers import Answer, Answers, TooLong
from inferflow_server.conversation.commands import Leave, obey
from inferflow_server.conversation.lines import Entries, Entry
from inferflow_server.conversation.settings import Settings
from inferflow_server.conversation.transcript import Transcript, Turn

Write = Callable[[str], None]


class Conversation:
    """`write` gets the text of answers as it comes, `note` all other lines."""

    def __init__(
        self,
        answers: Answers,
        settings: Settings,
        *,
        write: Write,
        note: Write,
        system: str | None = None,
        stats: bool = False,
    ) -> None:
        self.answers = answers
        self.settings = settings
        self.note = note
        self.transcript = Transcript()
        self.report: str | None = None
        """How fast the last answer was."""
        self.saved: tuple[str, list[Turn]] | None = None
        """The file that was written or read last, and the turns in it."""
        self._write = write
        self._stats = stats
        if system is not None:
            self.tell(system)

    def run(self, entries: Entries) -> None:
        """Until the input ends, /exit, or a second Ctrl-C with nothing in between."""
        context = f" · context {self.answers.context} tokens" if self.answers.context else ""
        self.note(f"{self.answers.name}{context} · /help lists commands, Ctrl-D ends")
        if self.answers.reads_source:
            self.note("This model answers each text, alone. /set shows what else it can be told.")
        elif not self.answers.chat:
            self.note("This model has no chat template: it continues each text, alone.")
        interrupts = 0
        while interrupts < 2:
            try:
                entry = entries.read()
                interrupts = 0
                if entry is None:
                    self.note("")
                    return
                if not self.take(entry):
                    interrupts = 1
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts < 2:
                    self.note("\nCtrl-C once more, or Ctrl-D, ends the conversation.")
            except InferflowError as error:
                self.note(f"Error: {error.message}")
                if error.hint:
                    self.note(f"Hint: {error.hint}")
            except Leave:
                return

    def take(self, entry: Entry) -> bool:
        """Obeys or asks; False where Ctrl-C broke an answer off. Raises InferflowError, Leave."""
        if entry.is_command:
            return obey(self, entry.text)
        return self.ask(entry.text) if entry.text.strip() else True

    def ask(self, question: str) -> bool:
        """Writes the answer and keeps it, also the beginning of one that was broken off."""
        answer = self._start(question)
        said: list[str] = []
        done = False
        try:
            for piece in answer:
                said.append(piece)
                self._write(piece)
            done = True
        except KeyboardInterrupt:
            return False
        finally:
            answer.cancel()
            self.report = answer.report()
            if said:
                self._write("\n")
                self.transcript.turns.append(Turn(question, "".join(said), stopped=not done))
            if not done:
                self.note("(stopped)" if said else "(stopped; nothing was said)")
            elif answer.finish == "length":
                cause = "max_tokens is reached" if self.settings.max_tokens else "no room is left"
                self.note(f"(cut off: {cause})")
            if self._stats:
                self.note(self.report)
        return True

    def retry(self) -> bool:
        """Asks the last question again; the old answer stays where there is no new one."""
        turn = self.transcript.pop()
        kept = len(self.transcript.turns)
        if self.settings.seed is not None:
            self.note("(the seed is set, so the answer will be the same)")
        try:
            return self.ask(turn.question)
        finally:
            if len(self.transcript.turns) == kept:
                self.transcript.turns.append(turn)

    def tell(self, system: str) -> None:
        """Sets what the model is told first; empty: nothing. Raises UsageError."""
        if system and not self.answers.chat:
            raise UsageError("a system text needs a chat template; this is a plain completion")
        self.transcript.system = system or None

    def _start(self, question: str) -> Answer:
        """Without the oldest turns, where all of them do not fit."""
        if not self.answers.chat:
            return self.answers.start([{"role": "user", "content": question}], self.settings)
        before = self.transcript.left_out
        while True:
            try:
                answer = self.answers.start(self.transcript.messages(question), self.settings)
                break
            except TooLong:
                if self.transcript.left_out == len(self.transcript.turns):
                    self.transcript.left_out = before
                    raise
                self.transcript.left_out += 1
        new = self.transcript.left_out - before
        if new:
            self.note(
                f"(the conversation no longer fits into the context: its oldest "
                f"{'turn is' if new == 1 else f'{new} turns are'} left out from here on. /clear "
                "begins anew)"
            )
        return answer
