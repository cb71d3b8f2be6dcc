"""Bodies of OpenAI's routes: the fields that reach the engine, within bounds that hold for any engine.

What an engine cannot do of it (the torch engine has no penalties), it refuses itself.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from serve.gateway.limits import Limits
from serve.gateway.schemas import Body

Count = Annotated[int, Field(ge=0, le=1_000_000)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Stop = Annotated[str, Field(min_length=1)]
Texts = str | list[str] | list[TokenId] | list[list[TokenId]]


class WrittenBody(Body):
    model: str
    max_tokens: Count | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    n: int | None = Field(None, ge=1, le=16)
    stop: Stop | list[Stop] | None = None
    stream: bool | None = None
    stream_options: dict[str, bool] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None
    user: str | None = None

    def wanted(self, limits: Limits) -> int:
        """Tokens of one text."""
        return limits.text_tokens if self.max_tokens is None else self.max_tokens

    @property
    def texts(self) -> int:
        """How many are written."""
        return self.n or 1


class TextPart(Body):
    """The one kind of part that a message's content may have here: the model reads text."""

    type: Literal["text"]
    text: str


def _joined(content: object) -> object:
    """The text of a content that is a list of parts, one a line, as vLLM's server joins them. ValueError: no text."""
    if not isinstance(content, list):
        return content
    texts = []
    for number, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type", "of no type") if isinstance(part, dict) else "no object"
            raise ValueError(f"part {number} is {kind}; give parts of type text, with their text")
        texts.append(part["text"])
    return "\n".join(texts)


Content = Annotated[str | None, BeforeValidator(_joined, json_schema_input_type=str | list[TextPart] | None)]


class ChatMessage(BaseModel):
    """Further fields go to the engine's server as they are."""

    model_config = ConfigDict(extra="allow")
    role: str
    content: Content = None


class ChatBody(WrittenBody):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"model": "genrec", "messages": [{"role": "user", "content": "Name three films."}]},
            ]
        },
    )
    messages: list[ChatMessage] = Field(min_length=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    max_completion_tokens: Count | None = None
    response_format: dict[str, Any] | None = None

    def wanted(self, limits: Limits) -> int:
        stated = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return limits.chat_tokens if stated is None else stated


class TextBody(WrittenBody):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"model": "genrec", "prompt": "Films like Fargo:", "max_tokens": 16}]
        },
    )
    prompt: Texts
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool | None = None
    best_of: int | None = Field(None, ge=1, le=16)
    suffix: str | None = None

    @property
    def texts(self) -> int:
        several = isinstance(self.prompt, list) and self.prompt and not isinstance(self.prompt[0], int)
        return max(self.n or 1, self.best_of or 1) * (len(self.prompt) if several else 1)


class EmbeddedBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"model": "genrec", "input": ["Fargo"]}]}
    )
    model: str
    input: Texts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1, le=1_000_000)
    user: str | None = None
