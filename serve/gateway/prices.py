"""About how many tokens a request makes the engine read, behind the context of whom it asks."""

from collections.abc import Sequence

from prompts.tokens import MAX_DATA_TOKENS
from serve.every_task import tasks_asked
from serve.gateway.schemas import About, PredictBody, RecommendBody
from serve.nearest import BATCH
from serve.served import Served

QUESTION_TOKENS = 12
CONTEXT_TOKENS = 40 * QUESTION_TOKENS  # of a context that is written only once it was admitted


def context_tokens(about: About) -> int:
    """Of a context that has not been written yet; a told history's by its events."""
    return CONTEXT_TOKENS if about.history is None else QUESTION_TOKENS * len(about.history)


def word_tokens(text: str | None) -> int:
    """Of a client's words in a prompt of ours, which cuts them."""
    return min(MAX_DATA_TOKENS, len((text or "").encode()) // 3)


def question_tokens(questions: int, query: str | None = None) -> int:
    """query: the words of each, where a client gave them."""
    return questions * (QUESTION_TOKENS + word_tokens(query))


def title_tokens(served: Served, titles: Sequence[str]) -> int:
    """Of titles that the catalog does not hold exactly: a question may hold them as they were sent."""
    return sum(word_tokens(title) for title in titles if served.names.exact(title) is None)


def predict_tokens(served: Served, body: PredictBody) -> int:
    """Every task that is asked of every item, and those that are asked of the user. Raises as every_task does."""
    about_items, about_user = tasks_asked(served, bool(body.items), body.tasks, body.query)
    items = question_tokens(len(body.items), body.query) + title_tokens(served, body.items)
    return len(about_items) * items + question_tokens(len(about_user), body.query)


def recommend_tokens(served: Served, body: RecommendBody) -> int:
    """Some paths of a search and a question or two for each candidate; a batch of titles where not all are embedded."""
    vectors = served.catalog.vectors
    embed = BATCH if body.retrieve == "embedding" and len(vectors) < len(vectors.items) else 0
    return question_tokens(5 * max(body.candidates, body.k) + embed)


def rerank_tokens(served: Served, query: str | None, documents: Sequence[str]) -> int:
    """The context, and a question of each document."""
    return CONTEXT_TOKENS + question_tokens(len(documents), query) + title_tokens(served, documents)
