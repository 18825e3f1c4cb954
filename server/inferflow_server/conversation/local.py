"""Answers of a model in this process."""

import dataclasses
from collections.abc import Iterator, Mapping

from inferflow_core.errors import EngineError
from inferflow_core.interfaces import LoadedModel, Request, Stream
from inferflow_server.conversation.answers import Messages, TooLong
from inferflow_server.conversation.settings import Settings
from inferflow_server.speed import Stopwatch


class LocalAnswers:
    """See `Answers`. `raw`: continues texts, though the model has a chat template."""

    def __init__(self, model: LoadedModel, *, load_s: float, raw: bool = False) -> None:
        self.name = model.name
        self.chat = not raw and model.tokenizer.chat_template is not None
        self.reads_source = model.reads_source and not self.chat
        self.context: int | None = model.engine.context
        self._model = model
        self._load_s = load_s

    def start(self, messages: Messages, settings: Settings) -> "LocalAnswer":
        """A conversation is to leave a quarter of the context for the answer, or `max_tokens`; its
        last message alone may fill all but one token."""
        given = messages if self.chat else messages[-1]["content"]
        prompt = self._model.prompt(given, **settings.languages)
        context = self._model.engine.context
        room = context - len(prompt.ids) if len(prompt.source) <= context else 0
        quarter = max(1, context // 4)
        alone = sum(message["role"] == "user" for message in messages) == 1
        if room < (1 if alone else min(quarter, settings.max_tokens or quarter)):
            raise TooLong(
                f"this message has {prompt.given} tokens with what the template adds; the context "
                f"of {context} must hold it and at least one more"
            )
        request = Request(
            ids=prompt.ids,
            source=prompt.source,
            max_tokens=min(room, settings.max_tokens or room),
            sampling=dict(settings.sampling),
            seed=settings.seed,
            stop=settings.stop,
        )
        return LocalAnswer(self._model.engine.submit(request), self._load_s)


class LocalAnswer:
    """See `Answer`."""

    def __init__(self, stream: Stream, load_s: float) -> None:
        self.finish: str | None = None
        self._stream = stream
        self._load_s = load_s
        self._watch = Stopwatch()

    def __iter__(self) -> Iterator[str]:
        for event in self._stream:
            self._watch.see(event)
            if event.text:
                yield event.text
            if event.finish == "error":
                raise EngineError(event.error or "the generation failed")
            self.finish = event.finish

    def cancel(self) -> None:
        self._stream.cancel()

    def report(self) -> str:
        return self._watch.footer(self._load_s)


def settings_of(model: LoadedModel) -> Settings:
    """The numbers of the model's sampler chain, with the spec's values as defaults."""
    samplers = model.plan.run.samplers

    def check(values: Mapping[str, float]) -> str:
        problems = (
            sampler.check({field.name: values[field.name] for field in dataclasses.fields(sampler)})
            for sampler in samplers
        )
        return next(filter(None, problems), "")

    defaults = {
        field.name: getattr(sampler, field.name)
        for sampler in samplers
        for field in dataclasses.fields(sampler)
    }
    return Settings(defaults, check, languages=model.reads_source)
