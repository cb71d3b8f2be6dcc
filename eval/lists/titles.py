"""Catalogs of made-up titles, built from word lists, in the number that a measurement needs."""

from collections.abc import Iterator

import numpy as np

ADJECTIVES = (
    "Silent", "Golden", "Broken", "Last", "Hidden", "Burning", "Lonely", "Crimson", "Endless", "Frozen", "Gentle",
    "Hollow", "Iron", "Little", "Lost", "Midnight", "Perfect", "Quiet", "Red", "Restless", "Second", "Secret", "Wild",
)  # fmt: skip
NOUNS = (
    "Harbor", "Garden", "River", "Winter", "Letter", "Stranger", "Mountain", "Orchard", "Mirror", "Machine", "Daughter",
    "Soldier", "Promise", "Island", "Shadow", "Summer", "Kingdom", "Wedding", "Lighthouse", "Train", "Teacher", "Storm",
    "Bridge", "Painter", "Hunter", "Detective", "Circus", "Valley", "Song", "Window", "Doctor", "Thief", "Queen",
)  # fmt: skip
PLACES = (
    "Verona", "Lisbon", "Montana", "Tokyo", "the North", "Brooklyn", "Cairo", "the Sea", "Oslo", "Paris", "Texas",
    "Vienna", "the Desert", "Prague", "Havana", "Dublin", "the Moon", "Madrid", "Alaska", "Rome", "Kyoto", "the Woods",
)  # fmt: skip
FORMS = (
    "The {a} {n}",
    "{a} {n}s",
    "The {n} of {p}",
    "{n} in {p}",
    "The {a} {n} of {p}",
    "A {n} for the {a} {m}",
)
YEARS = (1920, 2026)
BLOCK = 4096  # titles drawn at once


def titles(n: int, seed: int) -> Iterator[str]:
    """n different titles, such as "The Silent Harbor of Verona (1987)"; a longer list begins with a shorter one."""
    rng, given = np.random.default_rng(seed), set[str]()
    sizes = [len(FORMS), len(ADJECTIVES), len(NOUNS), len(NOUNS), len(PLACES), YEARS[1] - YEARS[0]]
    while True:
        for form, a, noun, m, p, year in rng.integers(0, sizes, (BLOCK, len(sizes))).tolist():
            words = {"a": ADJECTIVES[a], "n": NOUNS[noun], "m": NOUNS[m], "p": PLACES[p]}
            title = f"{FORMS[form].format(**words)} ({YEARS[0] + year})"
            if len(given) == n:
                return
            if title not in given:
                given.add(title)
                yield title
