"""The nearest items by embedding, behind a mock engine: brute force, once per weights, never of two weights."""

from collections.abc import Sequence

import numpy as np
import pytest
from random_engine import RandomEngine
from small_prompts import layout

from serve import nearest as module
from serve.nearest import ItemVectors, embedded, nearest
from serve.search import Found

LAYOUT = layout(items={f"i{n}": {"item_id": f"i{n}", "title": f"Film {n}"} for n in range(20)})
PROMPT = (5, 6, 7)


@pytest.fixture(autouse=True)
def _seven_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 7)


def by_brute_force(engine: RandomEngine, k: int, exclude: Sequence[str] = ()) -> list[tuple[str, float]]:
    user = engine.embed([PROMPT])[0]
    products = {i: float(engine.embed([LAYOUT.item(i)])[0] @ user) for i in LAYOUT.items if i not in exclude}
    return sorted(products.items(), key=lambda found: -found[1])[:k]


def agree(found: Found, wanted: list[tuple[str, float]]) -> None:
    assert [item for item, _ in found.items] == [item for item, _ in wanted]
    np.testing.assert_allclose([p for _, p in found.items], [p for _, p in wanted], atol=1e-6)
    assert (found.exact, found.gap) == (True, 0.0)


@pytest.mark.parametrize("k", [1, 5, 20, 30])
@pytest.mark.parametrize("exclude", [(), ("i3", "i4", "not in the catalog"), tuple(LAYOUT.items)])
def test_the_nearest_are_those_of_all_products(k: int, exclude: tuple[str, ...]) -> None:
    engine, vectors = RandomEngine(), ItemVectors(LAYOUT)
    agree(nearest(engine, PROMPT, vectors, k, exclude), by_brute_force(engine, k, exclude))


def test_items_are_embedded_once_in_batches() -> None:
    engine, vectors = RandomEngine(), ItemVectors(LAYOUT)
    for _ in range(2):
        nearest(engine, PROMPT, vectors, 3)
    assert engine.embedded == [7, 7, 6, 1, 1]
    assert len(vectors) == 20


def test_what_was_done_by_the_deadline_is_kept_and_nothing_is_listed() -> None:
    engine, vectors, asked = RandomEngine(), ItemVectors(LAYOUT), iter([False, True])
    found = nearest(engine, PROMPT, vectors, 3, stop=lambda: next(asked))
    assert (found.items, found.exact, found.gap) == ([], False, np.inf)
    assert engine.embedded == [7]
    agree(nearest(engine, PROMPT, vectors, 3), by_brute_force(RandomEngine(), 3))
    assert engine.embedded == [7, 7, 6, 1]


@pytest.mark.parametrize("at", range(4))
def test_weights_that_change_on_the_way_leave_nothing_of_the_old_ones(at: int) -> None:
    """at: the call during which they change; the fourth is the user's."""
    vectors = ItemVectors(LAYOUT)

    class Changing(RandomEngine):
        def embed(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
            found = super().embed(prompts)
            if len(self.embedded) == at + 1:
                self.seed = 1
                vectors.forget()
            return found

    agree(nearest(Changing(), PROMPT, vectors, 5), by_brute_force(RandomEngine(seed=1), 5))


def test_items_of_ones_own_choice_are_embedded_in_their_order_new_ones_too() -> None:
    chosen = ["i9", "Nobody's", *list(LAYOUT.items)[:8]]
    engine = RandomEngine()
    found = embedded(engine, LAYOUT, chosen)
    assert engine.embedded == [7, 3]
    np.testing.assert_array_equal(found, engine.embed([LAYOUT.item(i) for i in chosen]))
    assert embedded(engine, LAYOUT, []).shape == (0, found.shape[1])
