"""What is admitted, and what the engine is taken to have read."""

import asyncio

import pytest

from serve.gateway.admission import Admission, Busy, mark

HERS = mark("shop", [1, 2, 3])


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


def test_each_tenant_has_contexts_of_its_own() -> None:
    assert mark("shop", [1, 2, 3]) == HERS
    assert mark("other", [1, 2, 3]) != HERS
    assert mark("shop", [1, 2]) != HERS
