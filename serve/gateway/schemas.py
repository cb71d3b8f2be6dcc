"""Bodies and replies of the recommendation routes, as OpenAPI shows them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from genrec.item_names import ReadAs
from serve.node_budget import NODES


class Body(BaseModel):
    """A field that no route knows is refused by name, never ignored."""

    model_config = ConfigDict(extra="forbid")


def _as_text(value: object) -> object:
    """A whole number as its digits: logs whose ids are numbers send them so."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_IdText = Annotated[str, Field(min_length=1, max_length=256)]
Id = Annotated[_IdText, BeforeValidator(_as_text, json_schema_input_type=_IdText | int)]
_QueryText = Annotated[str, Field(min_length=1)]
Query = Annotated[_QueryText, BeforeValidator(_as_text, json_schema_input_type=_QueryText | int)]
ITEM = "an item's id or title; a whole number is read as the text of its digits"
Known: Any = Field(description="whether the log tells of this user; false where the request told a history")
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]  # so that no sum of them is infinite


class HistoryEvent(Body):
    """Something that the user was shown, and what came of it. Where the log does not say what was shown, an event is
    what such a log holds: an item that was chosen, rated or bought."""

    item: Id = Field(description=ITEM)
    click: bool = Field(
        False,
        description="where the log says what was shown: whether it was clicked; left out, it was not. Elsewhere an "
        "event is a click already: leave the field out, false is refused",
    )
    convert: bool | None = Field(
        None,
        description="whether it was bought, which implies `click`; null: not known yet. Where the log holds purchases "
        "alone, an event is one already, and false is refused",
    )
    value: float | None = Field(None, allow_inf_nan=False)
    ts: float | None = Field(None, ge=0, le=4e9, description="seconds since 1970, where the log counts days")


class About(Body):
    """Of whom: a user of the log, or anyone whose history the request tells, oldest first. Neither: someone new."""

    user: Id | None = Field(None, examples=["42"])
    history: list[HistoryEvent] | None = Field(None, examples=[[{"item": "50", "click": True}]])


class PredictBody(About):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"user": "42", "items": ["50", "181", "286"]},
                {"history": [{"item": "50", "click": True}], "items": ["181"], "tasks": ["click", "convert"]},
            ]
        },
    )
    items: list[Id] = Field([], description="ids or titles; what is neither is scored as a new item")
    tasks: list[str] | None = Field(
        None,
        min_length=1,
        description="all that can be answered, where left out; ctcvr where convert continues click",
    )
    query: str | None = Field(
        None, min_length=1,
        description="ask in these words instead, about the items where there are some, else about the user, unless "
        "`tasks` says of which; not calibrated",
    )  # fmt: skip


class NameRead(BaseModel):
    """How a name of an item in the request was read."""

    field: str = Field(description="of the request")
    name: str = Field(description="as it was sent")
    item: str = Field(description="the id of the item that it was read as; the name itself where it is new")
    read_as: ReadAs = Field(
        description="an exact id comes first, then an exact title, then the only title that is equal but for case, "
        "width and white space; new: no item has the name"
    )
    note: str = Field(
        description="what else the name could mean, or why it needs a look; empty where nothing"
    )


Names: Any = Field(
    description="how the request's other names of items were read, but for those that are exact ids and nothing else"
)


class Prediction(BaseModel):
    item: str
    title: str
    known: bool = Field(description="false: no item of the data set, scored by these words as its title")
    read_as: ReadAs = Field(description="how the name in `items` was read")
    note: str = Field(
        description="what else that name could mean, or why it needs a look; empty where nothing"
    )
    probabilities: dict[str, float | list[float]] = Field(
        description="of a binary task's first answer, of each answer of a choice; ctcvr is click times convert"
    )


class PredictReply(BaseModel):
    model: str
    user: str | None
    known: bool = Known
    history_lines: int
    items: list[Prediction]
    about_user: dict[str, float | list[float]] = Field(
        description="of someone without a session in the log: asked with no word of visits"
    )
    calibrated: list[str] = Field(description="of the tasks answered, those whose probabilities are")
    names: list[NameRead] = Names


Fallback = Literal["", "search stopped", "followers", "not scored"]


class RecommendBody(About):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"user": "42", "k": 10},
                {
                    "user": "42",
                    "k": 10,
                    "weights": {"ctcvr": 1.0},
                    "columns": {"price": 0.2},
                    "diversify": 0.3,
                },
            ]
        },
    )
    k: int = Field(10, ge=1)
    retrieve: Literal["search", "embedding", "followers"] = Field(
        "search",
        description="candidates by next-item search over the catalog, by the inner product of the user's embedding "
        "with every item's, or those that followed on what the user touched, which are never of these",
    )
    nodes: int = Field(
        NODES,
        ge=0,
        description="paths of the catalog's trie that a search extends, and then up to k titles are completed "
        "greedily, which bounds its time; `exact` and `gap` say what it may have missed. 0: as many as it takes to be "
        "exact",
    )
    candidates: int = Field(50, ge=1, description="retrieved before they are scored")
    weights: dict[str, Weight] | None = Field(
        None, description="of tasks' probabilities in the score; the first task about an item where left out"
    )
    columns: dict[str, Weight] = Field(
        {}, description="of number columns of the items, each scaled to 0..1 over the candidates"
    )
    diversify: float = Field(
        0.0, ge=0, le=1, description="how much an item loses for each category listed before it"
    )
    exclude: list[Id] = Field(
        [], description="ids or titles; what is neither excludes nothing, and the reply's `names` say so"
    )
    available: list[Id] | None = Field(
        None,
        description="only these, where given: ids or titles; what is neither is never listed, likewise said",
    )
    repeat: Literal["never", "allow"] = Field(
        "never", description="whether items she has touched may come again"
    )
    deadline_ms: int | None = Field(
        None, ge=1, le=86_400_000,
        description="counted from when the request had arrived. Retrieval may take half of it: then it falls back to "
        "a search that is not exact, or to followers where nothing was found. Where it comes, or is foreseen, before "
        "all candidates are scored, they are ordered by what the prompts state of them. The clock is asked between "
        "batches of the engine's work, so that a reply is late by one batch at most; `fallback` says what was done",
    )  # fmt: skip


class Recommendation(BaseModel):
    item: str
    title: str
    score: float
    probabilities: dict[str, float]
    reason: str


class RecommendReply(BaseModel):
    model: str
    user: str | None
    known: bool = Known
    items: list[Recommendation]
    exact: bool = Field(description="whether no better candidate, as `retrieve` orders them, was missed")
    gap: float | None = Field(description="nats by which a missed candidate could be better; null: not known")
    fallback: Fallback = ""
    left_out: list[str] = Field(
        [],
        description="where not scored: the weights that the score is without, prompts state nothing of their tasks",
    )
    names: list[NameRead] = Names


class RerankBody(Body):
    """Cohere's, v1 and v2.

    `query`: a user id of the log, or words, which are asked of each document. Beside a `user` or a `history` it is
    always words; left out there, the trained question is asked, and calibrated. A query that is written like the log's
    user ids and is none of them is refused.

    Documents are texts: an item's exact title is that item, else an exact id is, else a title that is equal but for
    case and spacing; any other is judged by its words."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"query": "42", "documents": ["Fargo", "Titanic"], "top_n": 2},
                {"history": [{"item": "Toy Story", "click": True}], "documents": ["Fargo", "Titanic"]},
            ]
        },
    )
    model: str | None = None
    query: Query | None = None
    documents: list[str | dict[str, Any]] = Field(min_length=1)
    top_n: int | None = Field(None, ge=1)
    return_documents: bool = False
    rank_fields: list[str] | None = None
    max_chunks_per_doc: int | None = Field(
        None, description="accepted and not used: a document is never cut in chunks"
    )
    max_tokens_per_doc: int | None = Field(None, description="accepted and not used")
    priority: int | None = Field(None, description="accepted and not used")
    user: Id | None = Field(None, description="ours, like `history`: for whom, where `query` does not say")
    history: list[HistoryEvent] | None = None


class Ranked(BaseModel):
    index: int
    relevance_score: float
    document: dict[str, str] | None = None
    item: str | None = Field(description="ours: the id of the item that the document was read as; null: none")
    read_as: ReadAs = Field(description="ours: how; new: the document is no item's title or id")
    note: str = Field(description="ours: what else the document could mean; empty where nothing")


class RerankMeta(BaseModel):
    """Cohere's, and of ours how `query` was read and whether the log tells of the user."""

    api_version: dict[str, str]
    billed_units: dict[str, int]
    query_read_as: Literal["user id", "words", ""] = Field(description="empty where there was no query")
    user: str | None = Field(
        description="for whom the documents are ordered; null: someone new, or a told history"
    )
    known: bool = Known
    names: list[NameRead] = Names


class RerankReply(BaseModel):
    id: str
    results: list[Ranked]
    meta: RerankMeta


class ExplainBody(About):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"user": "42", "item": "286", "task": "click"}]}
    )
    item: Id = Field(description=f"{ITEM}; what is neither is asked about as a new item")
    task: str = "click"
    lines: int = Field(5, ge=1, le=50, description="how many to name")


class Moved(BaseModel):
    line: int = Field(description="counted from her latest, which is 0")
    item: str
    title: str
    click: bool
    effect: float = Field(description="log-odds with the line minus without it")


class ExplainReply(BaseModel):
    model: str
    user: str | None
    known: bool = Known
    item: str
    title: str
    task: str
    probability: float
    lines: list[Moved] = Field(description="those that moved it most, largest first")
    names: list[NameRead] = Names


class SwapBody(Body):
    adapter: str = Field(
        min_length=1,
        description="an adapter's folder, or its folder of merged weights, under the server's --runs",
    )


class Problem(BaseModel):
    """OpenAI's shape of an error."""

    message: str
    type: str
    param: str | None = None
    code: str | int | None = None


class ProblemReply(BaseModel):
    error: Problem
