"""/v1/rerank: documents ordered for someone, by the task that a list is scored by, or by a question in free words."""

import copy
from collections import ChainMap
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from genrec.errors import UserError
from genrec.item_names import ItemName
from serve.gateway import schemas
from serve.gateway.work import Person, first_task, person
from serve.predictor import Predictor
from serve.served import Served


class Ranking(NamedTuple):
    """order: (index of a document, its relevance), best first. documents: how each was read, in the order sent."""

    who: Person
    query_read_as: Literal["user id", "words", ""]
    documents: list[ItemName]
    order: list[tuple[int, float]]


def rerank(served: Served, body: schemas.RerankBody) -> Ranking:
    """Relevance is the probability of the first binary task, calibrated, where there is no query or it is a user id;
    else that of yes to the query's words. Raises UserError where nothing says by what to rank, where the query looks
    like a user id that the log does not know, and where a document fits several items."""
    read_as, about, words = _query_read(served, body)
    who = person(served, about)
    texts = [document_text(document, body.rank_fields) for document in body.documents]
    documents = served.names.read_all(texts, "documents", titles_first=True)
    items, new = [], dict[str, dict[str, Any]]()
    for n, document in enumerate(documents):
        items.append(document.item_id if document.known else f"document\x1f{n}")
        if not document.known:
            new[items[-1]] = {"title": document.name}
    layout = copy.copy(who.served.layout)
    layout.items = ChainMap[str, Any](new, dict(layout.items)) if new else layout.items
    histories = copy.copy(who.served.histories)
    predictor = Predictor(layout, histories, who.served.engine, who.served.predictor.calibrations)
    task = first_task(served)
    relevance = predictor.predict(who.rows(items), [task], words)[task]
    order = np.argsort(-relevance, kind="stable")[: body.top_n]
    return Ranking(who, read_as, documents, [(int(n), float(relevance[n])) for n in order])


def _query_read(
    served: Served, body: schemas.RerankBody
) -> tuple[Literal["user id", "words", ""], schemas.About, str | None]:
    """What the query is, whom the documents are ranked for, and the words to ask, if any. Raises UserError."""
    about, query = schemas.About(user=body.user, history=body.history), body.query
    someone = about.user is not None or about.history is not None
    if query is None:
        if not someone:
            cure = "give a query, a user or a history"
            raise UserError("There is nothing to rank the documents by", where="query", cure=cure)
        return "", about, None
    if someone:
        return "words", about, query
    if served.knows(query):
        return "user id", schemas.About(user=query, history=None), None
    if served.writes_users_so(query):
        raise UserError(
            f"The log knows no user {query!r}, and the query is written like its user ids",
            where="query",
            cure="give a user who may be new in the field user; to ask these words of each document, send "
            '"history": [] with them',
        )
    return "words", about, query


def document_text(document: str | dict[str, Any], fields: Sequence[str] | None) -> str:
    if isinstance(document, str):
        return document
    chosen = [str(document[f]) for f in (fields or ["text"]) if document.get(f) is not None]
    if not chosen:
        wanted = ", ".join(fields or ["text"])
        raise UserError(
            f"A document has no {wanted}", where="documents", cure="give texts, or objects with that field"
        )
    return " ".join(chosen)
