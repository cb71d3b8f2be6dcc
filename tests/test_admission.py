"""What is admitted, and what the engine is taken to have read."""

import asyncio

import pytest

from serve.gateway.admission import REMEMBERED, Admission, Busy, Prefix, question_tokens

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


def test_each_tenant_has_contexts_of_its_own() -> None:
    assert Prefix.of("shop", [1, 2, 3]) == HERS
    assert Prefix.of("other", [1, 2, 3]) != HERS
    assert Prefix.of("shop", [1, 2]) != HERS


def test_words_of_a_client_cost_what_they_make_the_engine_read() -> None:
    assert question_tokens(2, "x" * 30) == question_tokens(2) + 2 * 10
    assert question_tokens(1, "x" * 2_000) == question_tokens(1) + 64
