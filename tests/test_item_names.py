"""The one rule by which a name is read as an item."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genrec.errors import UserError
from genrec.item_names import ItemName, ItemNames, normalized
from genrec.titles import distinct

NAMES = ItemNames(
    {
        "1": "Fargo", "2": "FARGO", "3": "Straße", "4": "Café  au lait", "12": "Heat", "17": "12",
        "20": "Up", "21": "Up", "22": "", "30": "Tea, green | loose", "31": "31",
    }
)  # fmt: skip


def read(name: str, titles_first: bool = False) -> ItemName:
    return NAMES.read(name, "items", titles_first)


def test_an_exact_title_is_its_own_item_though_others_differ_in_case_alone() -> None:
    assert [read("Fargo"), read("FARGO")] == [
        ItemName("Fargo", "1", "title"),
        ItemName("FARGO", "2", "title"),
    ]


@pytest.mark.parametrize(
    ("name", "item"),
    [("STRASSE", "3"), ("straße", "3"), ("cafe\u0301 AU\u00a0lait", "4"), ("ｈｅａｔ", "12"),
     (" tea,  GREEN | loose ", "30"), ("He\u00adat", "12")],
)  # fmt: skip
def test_a_title_is_read_without_case_width_and_spacing_where_one_item_has_it(name: str, item: str) -> None:
    assert read(name) == ItemName(name, item, "normalized title")
    assert f"item {item}" in read(name).note


def test_what_fits_several_items_is_refused_with_their_ids() -> None:
    with pytest.raises(UserError) as refused:
        NAMES.read_all(["Heat", "fargo"], "items")
    assert refused.value.where == "items.1"
    assert "1 (Fargo), 2 (FARGO)" in refused.value.cure
    with pytest.raises(UserError, match="fits the titles of 2 items"):
        read("Up")
    with pytest.raises(UserError, match="name is empty"):
        read(" \u00ad")


def test_a_title_that_items_shared_before_they_were_numbered_is_refused_with_their_ids() -> None:
    titles, _ = distinct(["T-shirt", "Mug", "T-shirt"])
    names = ItemNames(dict(zip("ABC", titles, strict=True)))
    for name in ("T-shirt", "t-shirt"):
        for titles_first in (False, True):
            with pytest.raises(UserError, match="fits the titles of 2 items") as refused:
                names.read(name, "items", titles_first)
            assert "A (T-shirt), C (T-shirt (2))" in refused.value.cure
    assert names.read("T-shirt (2)", "items") == ItemName("T-shirt (2)", "C", "title")
    assert names.read("t-SHIRT (2)", "items").item_id == "C"
    assert names.read("A", "items") == ItemName("A", "A", "id")


def test_a_title_that_itself_ends_in_a_number_is_not_taken_for_a_numbered_one() -> None:
    names = ItemNames({"1": "Up (2)", "2": "Up", "3": "Heat (2)", "4": "Mug", "5": "Mug (3)"})
    assert [names.read(name, "items").item_id for name in ("Up", "Up (2)", "Heat (2)", "Mug")] == [*"2134"]
    assert not names.read("Heat", "items").known


def test_an_id_that_is_another_items_title_says_so() -> None:
    assert read("12") == ItemName("12", "12", "id", other="17")
    assert read("12").note == "'12' is also the title of item 17"
    assert read("12", titles_first=True) == ItemName("12", "17", "title", other="12")
    assert read("12", titles_first=True).note == "'12' is also the id of item 12"
    assert read("17", titles_first=True) == read("17") == ItemName("17", "17", "id")
    assert not read("31").note
    assert not read("31", titles_first=True).note


def test_what_fits_nothing_is_new_and_keeps_its_words() -> None:
    for name in ("Titanic", "022"):
        assert read(name) == ItemName(name, name, "new")
        assert not read(name).known
    assert "no item's id or title" in read("Titanic").note


def test_exact_lookups_agree_with_reading() -> None:
    assert [NAMES.exact(name) for name in ("1", "FARGO", "fargo", "Titanic")] == ["1", "2", None, None]


@given(st.text(min_size=1, max_size=12).filter(normalized), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_case_and_composition_never_make_another_item_of_a_title(title: str, form: str) -> None:
    names = ItemNames({"id of the item": title})
    for changed in (title, unicodedata.normalize(form, title), title.upper(), f" {title}"):  # type: ignore[arg-type]
        found = names.read(changed, "items")
        assert found.item_id in ("id of the item", changed)
    assert names.read(title, "items").known
    assert names.read(unicodedata.normalize("NFD", title.casefold()), "items").known
