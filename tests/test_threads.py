"""Prompts that a server writes in several threads at once are those of one thread."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from small_prompts import tokens

from prompts.templates import Templates, as_data

WRITERS, PROMPTS = 8, 200


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_thread_places_only_its_own_texts() -> None:
    templates = Templates(tokens())
    template = "{{ item.title }}{{ end }}{{ query }}"

    def written(number: int) -> tuple[int, ...]:
        return templates.ids(
            template, "here", item=as_data({"title": f"Film {number}"}), query=as_data(f"{number}?")
        )

    alone = [written(number) for number in range(PROMPTS)]
    with ThreadPoolExecutor(WRITERS) as threads:
        assert list(threads.map(written, [*range(PROMPTS)] * WRITERS)) == alone * WRITERS
