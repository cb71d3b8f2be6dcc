"""/v1/rerank behind a mock engine: whom it ranks for, and whose question it asks."""

from typing import Any

import numpy as np
import pytest
from served_shop import served

from genrec.errors import UserError
from serve.gateway import schemas, work
from serve.gateway.rerank import rerank
from serve.served import Served

LINE = {"slope": 2.0, "intercept": 0.5, "examples": 80}
HISTORY = [{"item": "g00001", "click": True}, {"item": "g00002"}]
DOCUMENTS = ["g00003", "g00004", "g00005", "Something nobody sells"]


@pytest.fixture(scope="module")
def here() -> Served:
    return served(calibration={"click": LINE})


def relevance(here: Served, **asked: Any) -> list[float]:
    """In the documents' order; of the first three."""
    found = rerank(here, schemas.RerankBody.model_validate({"documents": DOCUMENTS, **asked})).order
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    return [p for _, p in sorted(found)][:3]


def clicks(here: Served, **about: Any) -> np.ndarray:
    body = schemas.PredictBody.model_validate({"items": DOCUMENTS[:3], "tasks": ["click"], **about})
    reply = work.predict(work.person(here, body), "genrec", body)
    assert reply.calibrated == ["click"] or "query" in about
    return np.array([item.probabilities["click"] for item in reply.items])


def test_without_a_query_the_trained_question_is_asked_and_calibrated(here: Served) -> None:
    np.testing.assert_allclose(relevance(here, history=HISTORY), clicks(here, history=HISTORY))
    np.testing.assert_allclose(relevance(here, history=[]), clicks(here, history=[]))
    np.testing.assert_allclose(relevance(here, user="u00003"), clicks(here, user="u00003"))
    with pytest.raises(UserError, match="nothing to rank"):
        relevance(here)


def test_a_query_is_a_user_or_words(here: Served) -> None:
    np.testing.assert_allclose(relevance(here, query="u00003"), clicks(here, user="u00003"))
    words = "Is it for the rain?"
    for about in ({"history": HISTORY}, {"user": "u00003"}, {}):
        np.testing.assert_allclose(relevance(here, query=words, **about), clicks(here, query=words, **about))
