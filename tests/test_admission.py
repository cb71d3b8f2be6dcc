"""What is admitted, at what price, and what the engine is taken to have read."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from small_prompts import SHIPPED

from genrec.item_names import ItemNames
from serve.gateway.admission import REMEMBERED, Admission, Busy, Prefix
from serve.gateway.prices import (
    CONTEXT_TOKENS,
    QUESTION_TOKENS,
    predict_tokens,
    question_tokens,
    rerank_tokens,
)
from serve.gateway.schemas import PredictBody

HERS = Prefix.of("shop", [1, 2, 3])


def test_a_context_counts_as_read_once_it_was_admitted_and_not_when_it_was_refused() -> None:
    admission = Admission(cap=10)

    async def ask() -> None:
        async with admission.admitted(8):
            with pytest.raises(Busy):
                async with admission.admitted(3, HERS):
                    pass
            assert not admission.knows(HERS)
            async with admission.admitted(2, HERS):
                assert admission.knows(HERS)

    asyncio.run(ask())
    assert admission.knows(HERS)
    admission.forget()
    assert not admission.knows(HERS)


def test_one_request_alone_is_admitted_whatever_it_costs() -> None:
    admission = Admission(cap=10)

    async def ask() -> None:
        admission.room(11)
        async with admission.admitted(11):
            with pytest.raises(Busy) as busy:
                admission.room(1)
        assert busy.value.retry_after >= 1
        assert admission.waiting == 0

    asyncio.run(ask())


def test_a_context_whose_work_failed_is_not_taken_to_be_read() -> None:
    admission = Admission(cap=10)

    async def fail() -> None:
        async with admission.admitted(1, HERS):
            raise ValueError("failed")

    async def ask() -> None:
        async with admission.admitted(1, HERS):
            pass

    with pytest.raises(ValueError, match="failed"):
        asyncio.run(fail())
    assert not admission.knows(HERS)
    asyncio.run(ask())
    with pytest.raises(ValueError, match="failed"):
        asyncio.run(fail())
    assert admission.knows(HERS)  # it had been read before


def test_no_more_contexts_are_remembered_than_an_engine_keeps() -> None:
    admission = Admission(cap=10)
    first, second = (Prefix.of("shop", [n] * (REMEMBERED // 2 + 1)) for n in (1, 2))

    async def ask() -> None:
        for context in (first, second):
            async with admission.admitted(1, context):
                pass

    asyncio.run(ask())
    assert admission.knows(second)
    assert not admission.knows(first)


def test_other_prompts_drive_contexts_out_of_the_cache_and_an_old_context_stays_where_it_is_asked_for() -> (
    None
):
    admission = Admission(cap=10)
    other = Prefix.of("shop", [4, 5])

    async def ask(*read: Prefix) -> None:
        async with admission.admitted(1, *read):
            pass

    asyncio.run(ask(other))
    asyncio.run(ask(HERS))
    for n in range(5):
        asyncio.run(ask(HERS, Prefix.named(f"a chat, or windows without a line, {n}", REMEMBERED // 2)))
    assert admission.knows(HERS)
    assert not admission.knows(other)
    asyncio.run(ask(Prefix.named("a long one", REMEMBERED)))
    assert not admission.knows(HERS)


def test_each_tenant_has_contexts_of_its_own() -> None:
    assert Prefix.of("shop", [1, 2, 3]) == HERS
    assert Prefix.of("other", [1, 2, 3]) != HERS
    assert Prefix.of("shop", [1, 2]) != HERS


def test_words_of_a_client_cost_what_they_make_the_engine_read() -> None:
    assert question_tokens(2, "x" * 30) == question_tokens(2) + 2 * 10
    assert question_tokens(1, "x" * 2_000) == question_tokens(1) + 64
    assert question_tokens(1, "龙猫" * 9) == question_tokens(1) + 18


KNOWN = {"1": {"title": "Toy Story"}, "2": {"title": "Fargo"}}
ABOUT = {True: [SHIPPED["click"], SHIPPED["convert"]], False: [SHIPPED["return"]]}
SERVED: Any = SimpleNamespace(
    tasks_about=ABOUT.__getitem__,
    names=ItemNames({item: row["title"] for item, row in KNOWN.items()}),
    layout=SimpleNamespace(items=KNOWN, tasks=SHIPPED),
)


@pytest.mark.parametrize(
    ("body", "questions", "words"),
    [
        ({"items": ["1", "2"]}, 2 * 2 + 1, 0),
        ({"items": ["1", "2"], "tasks": ["convert"]}, 2, 0),
        ({"items": ["1", "2"], "tasks": ["click", "return"]}, 3, 0),
        ({"tasks": ["click"]}, 0, 0),
        (
            {"items": ["1", "2"], "query": "x" * 30},
            2,
            2 * 10,
        ),  # neither convert nor return is asked in these words
        ({"items": ["1", "2"], "tasks": ["ctcvr"]}, 2 * 2, 0),
        ({"query": "x" * 30}, 1, 10),
        ({"items": ["1", "x" * 30, "y" * 256]}, 2 * 3 + 1, 2 * (10 + 64)),
    ],
)
def test_a_prediction_costs_the_questions_that_are_asked_and_the_titles_they_hold(
    body: dict[str, Any], questions: int, words: int
) -> None:
    assert predict_tokens(SERVED, PredictBody(**body)) == questions * QUESTION_TOKENS + words


def test_documents_cost_what_a_client_wrote() -> None:
    words = ["1", "x" * 30, "y" * 9_000]
    assert rerank_tokens(SERVED, "2", words) == CONTEXT_TOKENS + 3 * QUESTION_TOKENS + 10 + 64
