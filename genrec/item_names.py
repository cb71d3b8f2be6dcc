"""How a name is read as an item: the one rule for the command line, every route and every field.

A name is an item's exact id, else its exact title, else the only title that equals it after normalization (Unicode
NFKC, case folded, white space collapsed). An item whose title was numbered to make it distinct ("T-shirt (2)") has the
title without the number too. Where several items fit equally well the name is refused; where none fits, it is that of a
new item.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from genrec.errors import UserError
from genrec.titles import before_distinct, one_line

ReadAs = Literal["id", "title", "normalized title", "new"]
MOST_CANDIDATES = 5  # that a refusal names


@dataclass(frozen=True)
class ItemName:
    """A name and the item that it was read as.

    name: as it was given. item_id: the item's id; of a new item the name itself.
    other: the id of another item that the name fits as well, as its title or as its id; "" where there is none.
    """

    name: str
    item_id: str
    read_as: ReadAs
    other: str = ""

    @property
    def known(self) -> bool:
        """Whether the catalog holds the item."""
        return self.read_as != "new"

    @property
    def note(self) -> str:
        """What a reader of the answer has to know about the reading; "" where nothing needs saying."""
        if self.other:
            reading = "title" if self.read_as == "id" else "id"
            return f"{self.name!r} is also the {reading} of item {self.other}"
        if self.read_as == "normalized title":
            return f"{self.name!r} is read as the title of item {self.item_id}, without regard to case and spacing"
        if self.read_as == "new":
            return f"{self.name!r} is no item's id or title"
        return ""


class ItemNames:
    """Reads names by the ids and titles of a catalog.

    titles: by item id, in the catalog's order; "" where an item has none.
    """

    def __init__(self, titles: Mapping[str, str]) -> None:
        self._titles = titles

    @cached_property
    def by_title(self) -> dict[str, list[str]]:
        """Item ids by exact title, also by the one that an item had before it was numbered."""
        return _grouped(self._titled())

    @cached_property
    def by_normalized_title(self) -> dict[str, list[str]]:
        """Item ids by title after normalization."""
        return _grouped((normalized(title), item) for title, item in self._titled())

    def _titled(self) -> Iterator[tuple[str, str]]:
        """(title, item id) of each item's title, and of the one before it was numbered where that differs."""
        before = before_distinct(list(self._titles.values()))
        for (item, title), shared in zip(self._titles.items(), before, strict=True):
            yield title, item
            if shared != title:
                yield shared, item

    def prepare(self) -> None:
        """Make both tables of titles now instead of when a name is first looked up in them."""
        _ = self.by_title, self.by_normalized_title

    def exact(self, name: str) -> str | None:
        """The id of an item whose id or title is exactly this; None where there is none. Normalizes nothing."""
        return name if name in self._titles else next(iter(self.by_title.get(name, ())), None)

    def read(self, name: str, where: str, titles_first: bool = False) -> ItemName:
        """The item that a name means. where: the option, field or cell that holds it, for the message.

        titles_first: an exact title comes before an exact id, for texts that only happen to be ids too.
        Raises UserError where several items fit equally well, and for a name without a character to see.
        """
        if not normalized(name):
            raise UserError("A name is empty", where=where, cure="give an item's id or title")
        with_title = self.by_title.get(name, [])
        if name in self._titles and not (titles_first and with_title):
            return ItemName(name, name, "id", next((item for item in with_title if item != name), ""))
        if with_title:
            item = self._only(name, with_title, where)
            return ItemName(name, item, "title", name if name in self._titles and name != item else "")
        if alike := self.by_normalized_title.get(normalized(name)):
            return ItemName(name, self._only(name, alike, where), "normalized title")
        return ItemName(name, name, "new")

    def read_all(self, names: Sequence[str], where: str, titles_first: bool = False) -> list[ItemName]:
        """Each name of a list. where: what holds the list; a refusal names the place in it, from 0."""
        return [self.read(name, f"{where}.{n}", titles_first) for n, name in enumerate(names)]

    def _only(self, name: str, items: Sequence[str], where: str) -> str:
        if len(items) > 1:
            shown = [f"{item} ({self._titles[item]})" for item in items[:MOST_CANDIDATES]]
            more = f" and {len(items) - MOST_CANDIDATES} more" if len(items) > MOST_CANDIDATES else ""
            raise UserError(
                f"{name!r} fits the titles of {len(items)} items",
                where=where,
                cure=f"give an id, or a title that is one item's alone: {', '.join(shown)}{more}",
            )
        return items[0]


def normalized(title: str) -> str:
    """A title without the differences that people do not see or do not type.

    >>> normalized("  The STRASSE ") == normalized("the straße")
    True
    """
    composed = unicodedata.normalize("NFKC", one_line(title))
    return one_line(unicodedata.normalize("NFKC", composed.casefold()))


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Ids by title, those without a title left out."""
    groups: dict[str, list[str]] = {}
    for title, item in pairs:
        if title:
            groups.setdefault(title, []).append(item)
    return groups
