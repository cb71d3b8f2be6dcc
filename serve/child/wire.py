"""What goes over the socket between a gateway and its engine: the Engine protocol as JSON."""

from typing import Literal

from pydantic import BaseModel, Field

from genrec.errors import UserError
from prompts.layout import Question
from serve.engine import Request

SCORE, GENERATE, EMBED, HEALTH = "/genrec/score", "/genrec/generate", "/genrec/embed", "/health"


class AskedQuestion(BaseModel):
    ids: list[int]
    answers: list[int]
    over: Literal["answers", "vocabulary"] = "answers"


class AskedRequest(BaseModel):
    context: list[int]
    questions: list[AskedQuestion]


class Score(BaseModel):
    """salt: prefixes are shared only among requests of the same one."""

    requests: list[AskedRequest]
    salt: str = ""

    @classmethod
    def of(cls, requests: list[Request], salt: str = "") -> "Score":
        return cls(
            requests=[
                AskedRequest(
                    context=list(request.context),
                    questions=[
                        AskedQuestion(ids=list(q.ids), answers=list(q.answers), over=q.over)  # type: ignore[arg-type]
                        for q in request.questions
                    ],
                )
                for request in requests
            ],
            salt=salt,
        )

    def asked(self) -> list[Request]:
        return [
            Request(tuple(r.context), [Question(tuple(q.ids), tuple(q.answers), q.over) for q in r.questions])
            for r in self.requests
        ]


class Scored(BaseModel):
    """logprobs: per request and question, in its answers' order."""

    logprobs: list[list[list[float]]]


class Generate(BaseModel):
    prompt: list[int]
    max_tokens: int = Field(ge=0)
    stop: list[int] = []
    salt: str = ""


class Generated(BaseModel):
    ids: list[int]


class Embed(BaseModel):
    prompts: list[list[int]]


class Embedded(BaseModel):
    embeddings: list[list[float]]


class Refusal(BaseModel):
    """Why a request was not answered (status 400): a UserError's parts, or a ValueError's message."""

    kind: Literal["UserError", "ValueError"]
    what: str
    where: str = ""
    cure: str = ""

    @classmethod
    def of(cls, error: UserError | ValueError) -> "Refusal":
        if isinstance(error, UserError):
            return cls(kind="UserError", what=error.what, where=error.where, cure=error.cure)
        return cls(kind="ValueError", what=str(error))

    def again(self) -> UserError | ValueError:
        """The error as it was raised there."""
        return (
            UserError(self.what, self.where, self.cure) if self.kind == "UserError" else ValueError(self.what)
        )
