"""The body of `POST /`: the original engine's fields, checked."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from inferflow_core.errors import nearest
from inferflow_server.http.decoding_alg import sampling
from inferflow_server.http.errors import APIError
from inferflow_server.http.fields import Count, Language, Seed, number

FUNCTIONS = ("get_stat",)


class Header(BaseModel):
    """`user` and `passcode` are taken and used for nothing; the API key is what is asked for."""

    model_config = ConfigDict(strict=True, extra="ignore")

    fn: str | None = None
    user: Any = None
    passcode: Any = None


class NativeBody(BaseModel):
    """null is the same as absent. Further fields: the numbers of the model's sampler chain."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    text: str | None = None
    system_prompt: str | None = None
    res_prefix: str | None = None
    encoder_input_template: str | None = None
    decoder_input_template: str | None = None
    source_language: Language | None = None
    target_language: Language | None = None
    max_output_len: Count | None = None
    max_new_tokens: Count | None = None
    decoding_alg: str | None = None
    random_seed: Seed | None = None
    temperature: float | None = Field(None, ge=0)
    is_streaming_mode: bool | int | None = None
    header: Header | None = None

    def function(self) -> str | None:
        """Raises APIError for one that does not exist."""
        name = self.header.fn if self.header else None
        if name and name not in FUNCTIONS:
            message = f"header.fn is {name[:80]!r}; it can be {', '.join(FUNCTIONS)}, or absent"
            raise APIError(400, message, param="header.fn")
        return name or None

    def seed(self) -> int | None:
        """0 is the original's word for "another one each time"."""
        return self.random_seed or None

    def streams(self) -> bool:
        return self.is_streaming_mode is None or bool(self.is_streaming_mode)

    def most_tokens(self) -> int | None:
        """Both names mean the same. Raises APIError where they differ."""
        given = {self.max_output_len, self.max_new_tokens} - {None}
        if len(given) > 1:
            message = "max_output_len and max_new_tokens differ; they are two names of one number"
            raise APIError(400, message, param="max_new_tokens")
        return next(iter(given), None)

    def sampling(self, chain: Mapping[str, Any]) -> dict[str, float]:
        """The numbers for the sampler chain, whose fields are `chain`'s keys. Raises APIError."""
        numbers = sampling(self.decoding_alg, chain) if self.decoding_alg else {}
        if self.temperature is not None:
            # A strategy that sets the temperature (greedy) means it.
            numbers.setdefault("temperature", self.temperature)
        for name, value in (self.model_extra or {}).items():
            if name not in chain:
                known = {*type(self).model_fields, *chain}
                message = f"unknown field {name[:80]!r}.{nearest(name, known)}"
                raise APIError(400, message, param=name[:80], code="unknown_parameter")
            if value is not None:
                numbers[name] = number(name, value)
        return numbers
