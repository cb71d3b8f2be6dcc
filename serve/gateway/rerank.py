"""/v1/rerank: documents ordered for someone, by the task that a list is scored by, or by a question in free words."""

import copy
from collections import ChainMap
from collections.abc import Sequence
from typing import Any

import numpy as np

from genrec.errors import UserError
from serve.gateway import schemas
from serve.gateway.work import first_task, person
from serve.predictor import Predictor
from serve.served import Served


def rerank(served: Served, body: schemas.RerankBody) -> list[tuple[int, float]]:
    """(index, relevance) of documents, best first: where there is no query, or it names a user, the probability of the
    first binary task, calibrated; else that of yes to the query's words."""
    about, words = schemas.About(user=body.user, history=body.history), body.query
    if about.user is None and about.history is None:
        if words is None:
            cure = "give a query, a user or a history"
            raise UserError("There is nothing to rank the documents by", where="query", cure=cure)
        if served.knows(words):
            about, words = schemas.About(user=words, history=None), None
    who = person(served, about)
    texts = [document_text(document, body.rank_fields) for document in body.documents]
    items, told = [], dict[str, dict[str, Any]]()
    for n, text in enumerate(texts):
        item = served.item(text)
        if item not in served.layout.items:
            item = f"document\x1f{n}"
            told[item] = {"title": text}
        items.append(item)
    layout = copy.copy(who.served.layout)
    layout.items = ChainMap[str, Any](told, dict(layout.items)) if told else layout.items
    histories = copy.copy(who.served.histories)
    predictor = Predictor(layout, histories, who.served.engine, who.served.predictor.calibrations)
    task = first_task(served)
    found = predictor.predict([who.row(item) for item in items], [task], words)[task]
    order = np.argsort(-found, kind="stable")[: body.top_n]
    return [(int(n), float(found[n])) for n in order]


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
