"""Statistics that were saved answer, and go on learning, as those that were not."""

import random
from pathlib import Path

import numpy as np

from genrec.statistics import Outcome, Statistics
from genrec.statistics.snapshot import load, save


def test_saved_statistics_read_and_learn_like_the_ones_in_memory(tmp_path: Path) -> None:
    draw = random.Random(0)
    categories = {f"i{k}": (("red", "blue")[k % 2],) for k in range(12)}

    def outcome() -> Outcome:
        click = draw.random() < 0.5
        return Outcome(
            f"u{draw.randrange(9)}",
            f"i{draw.randrange(12)}",
            int(click),
            int(click and draw.random() < 0.3),
            draw.choice((1.0, 2.5)),
        )

    one = Statistics(categories)
    for _ in range(200):
        one.observe([outcome()])
    save(one, tmp_path / "kept.npz")
    two = load(tmp_path / "kept.npz", categories)
    for _ in range(60):  # beyond the next refresh
        new = outcome()
        one.observe([new])
        two.observe([new])
    for user in [*one.user_codes, "stranger"]:
        for item in [*categories, "new"]:
            np.testing.assert_allclose(one.read(user, item), two.read(user, item), rtol=1e-6)


def test_empty_statistics_can_be_kept(tmp_path: Path) -> None:
    save(Statistics({}), tmp_path / "kept.npz")
    again = load(tmp_path / "kept.npz", {})
    np.testing.assert_array_equal(again.read("u", "i"), Statistics({}).read("u", "i"))
    again.observe([Outcome("u", "i", 1, 0)])
