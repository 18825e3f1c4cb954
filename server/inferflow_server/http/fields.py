"""Bodies of requests, with OpenAI's names and bounds.

Three sorts of fields: those that do something; those that cannot change the text and are accepted
(`user`, `store` …); those that would change the text, which no model here can do, and which are
refused unless they are neutral (`tools: []`, `frequency_penalty: 0` …). A field that is none of
these is refused, as OpenAI does, except that a request may set any number of the model's own
sampler chain by name (`top_k`, `min_p`, or a plugin's).
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inferflow_core.errors import nearest
from inferflow_server.http.errors import APIError

MAX_CHOICES = 128
MAX_STOPS = 4
MAX_INPUTS = 2048
"""Of one request for embeddings: OpenAI's."""

Count = Annotated[int, Field(ge=1)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Language = Annotated[str, Field(min_length=1, max_length=64)]
Stop = Annotated[str, Field(min_length=1, max_length=1024)]

IGNORED = frozenset(
    {
        *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"),
        *("prompt_cache_retention", "parallel_tool_calls"),
    }
)
"""Accepted, without any effect on the text."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
    "suffix": ("",),
    "best_of": (1,),
}
"""Known, not supported: refused unless null or one of these values."""


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class StreamOptions(_Body):
    include_usage: bool = False
    include_obfuscation: bool = False


class Generation(_Body):
    """What both endpoints share. OpenAI's own bounds; null is the same as absent."""

    model: str = Field(max_length=256)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    seed: Seed | None = None
    stop: Stop | list[Stop] | None = None
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def stops(self) -> tuple[str, ...]:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stops) > MAX_STOPS:
            raise APIError(400, f"at most {MAX_STOPS} stop strings are allowed", param="stop")
        return tuple(stops)

    def sampling(self, chain: Mapping[str, Any]) -> dict[str, float]:
        """The numbers for the sampler chain, whose fields are `chain`'s keys.

        Raises APIError for fields that nobody knows and for unsupported ones that matter.
        """
        numbers = {
            name: value
            for name in ("temperature", "top_p")
            if (value := getattr(self, name)) is not None and (name in chain or value != 1)
        }
        for name, value in (self.model_extra or {}).items():
            if name in IGNORED or value is None:
                continue
            if name in chain:
                numbers[name] = number(name, value)
            elif name not in NEUTRAL:
                raise unknown(name, {*type(self).model_fields, *chain})
            elif not any(value == neutral for neutral in NEUTRAL[name]):
                raise APIError(
                    *(400, f"{name} is not supported by this server", "invalid_request_error"),
                    param=name,
                    code="unsupported_parameter",
                )
        return numbers


def unknown(name: str, known: Collection[str]) -> APIError:
    message = f"Unrecognized request argument supplied: {name[:80]}.{nearest(name, known)}"
    return APIError(400, message, param=name[:80], code="unknown_parameter")


class TextPart(_Body):
    type: Literal["text"]
    text: str


class Message(_Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None
    name: str | None = Field(None, max_length=256)
    tool_calls: list[Any] | None = Field(None, max_length=0)

    def plain(self) -> dict[str, str]:
        """As chat templates expect it: `developer` is the newer word for `system`."""
        content = self.content
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        role = "system" if self.role == "developer" else self.role
        message = {"role": role, "content": content or ""}
        return message if self.name is None else message | {"name": self.name}


class ChatBody(Generation):
    messages: list[Message] = Field(min_length=1, max_length=2048)
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)


class CompletionBody(Generation):
    prompt: str | list[str] | list[TokenId] | list[list[TokenId]]
    max_tokens: Count | None = None
    source_language: Language | None = None
    target_language: Language | None = None
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=5)

    def prompts(self) -> list[str | list[int]]:
        """One text or list of ids for each sequence. Raises APIError where one is empty."""
        prompts: list[Any] = (
            [self.prompt]
            if isinstance(self.prompt, str) or all(isinstance(item, int) for item in self.prompt)
            else self.prompt
        )
        if not prompts or any(not prompt and not isinstance(prompt, str) for prompt in prompts):
            raise APIError(400, "the prompt is empty", param="prompt")
        return prompts


class EmbeddingBody(_Body):
    """`prompt_name` and `truncate_prompt_tokens` are sentence-transformers' and vLLM's."""

    model: str = Field(max_length=256)
    input: str | list[str] | list[TokenId] | list[list[TokenId]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None
    prompt_name: str | None = Field(None, max_length=256)
    truncate_prompt_tokens: int | None = Field(None, ge=-1, lt=2**31)

    def inputs(self) -> list[str | list[int]]:
        """One text or list of ids for each vector. Raises APIError where there are none or too
        many, or one is empty."""
        alone = isinstance(self.input, str) or all(isinstance(item, int) for item in self.input)
        inputs: list[Any] = [self.input] if alone else [*self.input]
        for place, one in enumerate(inputs):
            if not one:
                where = "" if alone else f" {place}"
                raise APIError(400, f"the input{where} is empty", param="input")
        if len(inputs) > MAX_INPUTS:
            message = f"there are {len(inputs)} inputs; at most {MAX_INPUTS} are possible"
            raise APIError(400, message, param="input")
        return inputs

    def truncate(self) -> bool | int:
        """False: nothing is cut; True: what is longer than the model reads; else to how many
        tokens. Raises APIError."""
        if self.truncate_prompt_tokens == 0:
            raise APIError(
                *(400, "truncate_prompt_tokens is -1 (as long as the model reads) or from 1"),
                param="truncate_prompt_tokens",
            )
        most = self.truncate_prompt_tokens
        return False if most is None else True if most == -1 else most

    def check_names(self) -> None:
        """Raises APIError for fields that nobody knows."""
        for name, value in (self.model_extra or {}).items():
            if name not in IGNORED and value is not None:
                raise unknown(name, type(self).model_fields)


_FIELDS = frozenset(
    name
    for body in (ChatBody, CompletionBody, EmbeddingBody, Message, TextPart, StreamOptions)
    for name in body.model_fields
)

Body = TypeVar("Body", bound=BaseModel)


def parse(body_type: type[Body], raw: bytes) -> Body:
    """JSON -> a checked body. Raises APIError that names the field."""
    try:
        return body_type.model_validate_json(raw)
    except ValidationError as error:
        raise _invalid(error, _FIELDS | body_type.model_fields.keys()) from error


def _invalid(error: ValidationError, fields: Collection[str]) -> APIError:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    # A union reports each member it tried; the one that got furthest is the one that was meant.
    problem = max(problems, key=lambda problem: len(problem["loc"]))
    # pydantic adds the tried member of a union (`str`, `list[str]`) to the place.
    place = [str(part) for part in problem["loc"] if isinstance(part, int) or part in fields]
    param = ".".join(place)[:200] or None
    if problem["type"] == "json_invalid":
        return APIError(400, f"the body is not valid JSON: {problem['msg']}")
    if problem["type"] == "missing":
        return APIError(400, f"you must provide {param}", param=param)
    return APIError(400, f"{param}: {problem['msg']}", param=param)


def number(name: str, value: Any) -> float:
    """A number of the sampler chain. Raises APIError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise APIError(400, f"{name} must be a number", param=name)
    if abs(value) > 1e308 or value != value:
        raise APIError(400, f"{name} must be a finite number", param=name)
    return value
