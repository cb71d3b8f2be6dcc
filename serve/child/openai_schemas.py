"""Bodies of OpenAI's routes as far as they are ours to answer, and how one is refused. What is not here is refused by
name."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genrec.errors import UserError
from serve.child.gone import ClientGone, unless_gone


class CompletionBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    model: str
    max_tokens: int | None = Field(None, ge=0)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    n: int = Field(1, ge=1, le=16)
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: dict[str, bool] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    user: str | None = None
    cache_salt: str | None = (
        None  # contexts here are found by their tokens alone, and nothing of them is ever told
    )
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    logit_bias: None = None


Input = str | list[str] | list[int] | list[list[int]]  # texts or token ids, one or several


class Text(CompletionBody):
    prompt: Input
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool = False
    best_of: Literal[1] | None = None
    suffix: None = None


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str
    name: str | None = None


class Chat(CompletionBody):
    messages: list[Message] = Field(min_length=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    max_completion_tokens: int | None = Field(None, ge=0)
    response_format: dict[str, Literal["text"]] | None = None


class EmbeddingsBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    model: str
    input: Input
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: None = None
    user: str | None = None


async def answered(
    request: Request,
    answer: Callable[[Any], Awaitable[Response]],
    schema: type[BaseModel],
    body: dict[str, Any],
) -> Response:
    """What answer makes of a body that fits, or why it is refused, in OpenAI's shape; given up when the client has
    gone. LookupError: there is no such model."""
    status, param = 400, None
    try:
        checked = schema.model_validate(body)
        return await unless_gone(request, lambda: answer(checked))
    except ClientGone:
        return Response(status_code=499)  # nobody reads it
    except ValidationError as error:
        first = error.errors()[0]
        param = _place(body, first["loc"]) or None
        what = f"{param}: {first['msg']}"
    except LookupError as error:
        what, param, status = str(error.args[0]), "model", 404
    except (UserError, ValueError) as error:
        what = str(error)
    kind = "invalid_request_error" if status == 400 else "not_found_error"
    return JSONResponse({"error": {"message": what, "type": kind, "param": param, "code": None}}, status)


def _place(body: object, loc: Sequence[int | str]) -> str:
    """Where in a body a mistake is ("messages.0.content"); what pydantic adds of the kinds it tried is left out."""
    names = []
    for name in loc:
        if isinstance(body, dict):
            body = body.get(name)
        elif isinstance(body, list) and isinstance(name, int):
            body = body[name]
        else:
            break
        names.append(str(name))
    return ".".join(names)


class Named:
    """One model and its tokenizer, as a request names and writes them."""

    def __init__(self, name: str, tokenizer: Any) -> None:
        self.name, self.tokenizer = name, tokenizer

    def check(self, model: str) -> None:
        """Raises LookupError for another model's name."""
        if model != self.name:
            raise LookupError(f"There is no model {model!r}; this server has {self.name!r}")

    def prompts(self, given: Input) -> list[list[int]]:
        """The ids of each. Raises ValueError where there is nothing, or a token that the model has not."""
        several: Any = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
        vocabulary, found = len(self.tokenizer), []
        for prompt in several:
            ids = self.tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else list(prompt)
            if not ids:
                raise ValueError("an empty prompt")
            if not all(0 <= i < vocabulary for i in ids):
                raise ValueError(f"a token id that is not below {vocabulary}")
            found.append(ids)
        if not found:
            raise ValueError("no prompt")
        return found
