"""Titles as people and prompts read them: one line, never empty, no two alike."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_ARTICLES = ("The", "A", "An", "Il", "Lo", "La", "Le", "Les", "L'", "Gli", "Das", "Der", "Die", "Den", "Det",
             "Ein", "Eine", "El", "Los", "Las", "Un", "Une", "Una", "O", "Os", "De", "Het")  # fmt: skip
_TRAILING_ARTICLE = re.compile(rf"^(?P<rest>.+), (?P<article>{'|'.join(_ARTICLES)})$", re.IGNORECASE)
_NUMBERED = re.compile(r"(?P<title>.+) \((?P<number>[1-9]\d{0,8})\)", re.DOTALL)
_YEAR = re.compile(r"^(?P<title>.*?)\s*\((?P<year>(?:18|19|20)\d\d)\)(?:\s*\(V\))?\s*$", re.DOTALL)


def split_year(title: str) -> tuple[str, int | None]:
    """The title without its trailing year, and that year, None where there is none.

    >>> split_year("Sabrina (1954)")
    ('Sabrina', 1954)
    >>> split_year("Blade Runner 2049")
    ('Blade Runner 2049', None)
    """
    found = _YEAR.match(title)
    return (found["title"], int(found["year"])) if found and found["title"] else (title, None)


def articles_first(title: str) -> str:
    """Move articles that a catalog put last back to the front, in brackets too.

    >>> articles_first("Hate (Haine, La)")
    'Hate (La Haine)'
    >>> articles_first("Enfer, L'")
    "L'Enfer"
    """
    parts = re.split(r"(\s*[()]\s*)", title)
    return "".join(_article_first(part) for part in parts)


def _article_first(part: str) -> str:
    found = _TRAILING_ARTICLE.match(part)
    if not found:
        return part
    joint = "" if found["article"].endswith("'") else " "
    return found["article"] + joint + found["rest"]


def one_line(title: str) -> str:
    """Without control characters, halves of characters (lone surrogates) and text-direction marks, every run of white
    space one space.

    Format characters that carry meaning (joiners of emoji and of Indic scripts) stay.
    """
    kept = (
        " " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in title if c not in _UNSEEN
    )
    return " ".join("".join(kept).split())


# Soft hyphen, zero-width space, word joiner, byte-order mark, and everything that turns the text's direction.
_UNSEEN = frozenset("\u00ad\u200b\u2060\ufeff\u061c\u200e\u200f") | {
    chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


def cleaned(titles: Sequence[str | None], ids: Sequence[str]) -> tuple[list[str], int]:
    """Each title on one line, an empty one as "Untitled <id>"; and how many were changed."""
    pairs = zip(titles, ids, strict=True)
    clean = [one_line(title or "") or one_line(f"Untitled {item_id}") for title, item_id in pairs]
    return clean, sum(a != b for a, b in zip(titles, clean, strict=True))


def distinct(titles: Sequence[str], years: Sequence[int | None] | None = None) -> tuple[list[str], int]:
    """No two titles alike: equal ones get their year where the years differ, then " (2)", " (3)", ...

    Returns the titles, in the order given, and how many were changed. Deterministic in that order.

    >>> distinct(["Sabrina", "Sabrina", "Money Talks", "Money Talks"], [1954, 1995, 1997, 1997])
    (['Sabrina (1954)', 'Sabrina (1995)', 'Money Talks', 'Money Talks (2)'], 3)
    """
    dated = list(titles)
    if years is not None:
        several: dict[str, set[int | None]] = {}
        for title, year in zip(titles, years, strict=True):
            several.setdefault(title, set()).add(year)
        for i, year in enumerate(years):
            if len(several[titles[i]]) > 1 and year is not None:
                dated[i] = f"{titles[i]} ({year})"
    taken, seen, result = set(dated), Counter[str](), []
    for title in dated:
        seen[title] += 1
        name, number = title, seen[title]
        if number > 1:
            while (name := f"{title} ({number})") in taken:
                number += 1
            taken.add(name)
            seen[title] = number
        result.append(name)
    return result, sum(a != b for a, b in zip(titles, result, strict=True))


def before_distinct(titles: Sequence[str]) -> list[str]:
    """The title that each item had before `distinct` numbered it; the title itself where it was not numbered.

    titles: in the order in which `distinct` had them. "X (n)" counts as numbered where X stands before it, every
    smaller number is there, and no larger one has come before. A catalog whose own titles are X and, behind it, "X (2)"
    looks the same.

    >>> before_distinct(["Mug", "Mug (2)", "Mug (4)", "Up (2)"])
    ['Mug', 'Mug', 'Mug (4)', 'Up (2)']
    """
    there, highest, result = set(titles), dict[str, int](), []
    for title in titles:
        highest.setdefault(title, 1)
        match = _NUMBERED.fullmatch(title)
        before, number = (match["title"], int(match["number"])) if match else (title, 1)
        follows = number > highest.get(before, number)  # False where `before` has not come yet
        if follows and all(f"{before} ({smaller})" in there for smaller in range(2, number)):
            highest[before] = number
            result.append(before)
        else:
            result.append(title)
    return result
