"""Titles as people say them, one line, no two alike; and that repairing is done once and for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genrec.repair import repair
from genrec.sources import movielens
from genrec.titles import articles_first, before_distinct, cleaned, distinct, split_year


@pytest.mark.parametrize(
    ("raw", "title", "year"),
    [
        ("Shop Around the Corner, The (1940)", "The Shop Around the Corner", 1940),
        ("Hate (Haine, La) (1995)", "Hate (La Haine)", 1995),
        ("Enfer, L' (1994)", "L'Enfer", 1994),
        ("Postino, Il (1994)", "Il Postino", 1994),
        ("Double vie de Véronique, La (Double Life of Veronique, The) (1991)",
         "La Double vie de Véronique (The Double Life of Veronique)", 1991),
        ("Land Before Time III: The Time of the Great Giving (1995) (V)",
         "Land Before Time III: The Time of the Great Giving", 1995),
        ("Paris, Texas (1984)", "Paris, Texas", 1984),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968),
        ("unknown", "unknown", None),
        ("(1995)", "(1995)", None),
    ],
)  # fmt: skip
def test_titles_are_read_as_people_say_them(raw: str, title: str, year: int | None) -> None:
    name, found = split_year(raw)
    assert (articles_first(name), found) == (title, year)


def test_titles_become_distinct_whatever_is_taken_already() -> None:
    assert distinct(["a", "a", "a (2)", "a", "b"]) == (["a", "a (3)", "a (2)", "a (4)", "b"], 2)
    assert distinct(["a", "a", "a"], [1990, 1990, 1991]) == (["a (1990)", "a (1990) (2)", "a (1991)"], 3)
    assert distinct(["a", "a"], [1990, None]) == (["a (1990)", "a"], 1)


@given(st.lists(st.sampled_from(["a", "b", "c (2) (2)", "d (3)"])))
def test_the_titles_before_they_were_numbered_are_known_again(titles: list[str]) -> None:
    assert before_distinct(distinct(titles)[0]) == titles


def test_titles_are_one_line_and_never_empty() -> None:
    assert cleaned(["a\n b\u202e\x00c", None, " \t", "ok"], ["1", "2", "3\n4", "5"]) == (
        ["a b c", "Untitled 2", "Untitled 3 4", "ok"], 3,
    )  # fmt: skip


def test_repairing_what_is_repaired_changes_nothing() -> None:
    tables = movielens.load_100k().tables
    again, repairs = repair(tables)
    assert repairs == []
    assert again.events.equals(tables.events)
    assert again.items.equals(tables.items)
