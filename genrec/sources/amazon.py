"""Amazon Reviews 2018 and 2023, from a folder with the official files of one category, as a stand-in for a funnel."""

import gzip
import html
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from genrec.errors import UserError
from genrec.reading import Loaded, Reading
from genrec.repair import repair
from genrec.sources.ratings import RATING_LABELS, RATING_NOTE, funnel
from genrec.tables import Tables


@dataclass(frozen=True)
class Edition:
    """One edition's file and field names. ticks: microseconds in a unit of its time. suffixes: of its files."""

    name: str
    user: str
    item: str
    rating: str
    time: str
    ticks: int
    categories: str
    suffixes: tuple[str, ...]
    page: str


_2018 = Edition(
    "amazon-2018", "reviewerID", "asin", "overall", "unixReviewTime", 1_000_000, "category",
    (".json.gz", ".json"), "https://nijianmo.github.io/amazon/",
)  # fmt: skip
_2023 = Edition(
    "amazon-2023", "user_id", "parent_asin", "rating", "timestamp", 1_000, "categories",
    (".jsonl.gz", ".jsonl"), "https://amazon-reviews-2023.github.io/",
)  # fmt: skip


def load_2018(path: Path | None = None, category: str | None = None) -> Loaded:
    """`<Category>.json.gz` (or the 5-core `<Category>_5.json.gz`) and `meta_<Category>.json.gz`.

    category: which one, where the folder holds several. Times are days in this edition.
    """
    return _load(_2018, path, category)


def load_2023(path: Path | None = None, category: str | None = None) -> Loaded:
    """`<Category>.jsonl.gz` and `meta_<Category>.jsonl.gz`; items are those of `parent_asin`."""
    return _load(_2023, path, category)


def _load(edition: Edition, path: Path | None, category: str | None) -> Loaded:
    reviews, meta = _find(edition, path, category)
    users, items, stamps, values = [], [], [], []
    wanted = {edition.user: str, edition.item: str, edition.rating: (int, float), edition.time: int}
    for user, item, value, stamp in _fields(reviews, wanted):
        users.append(user)
        items.append(item)
        values.append(float(value))
        stamps.append(stamp * edition.ticks)
    if not users:
        raise UserError(
            "There are no reviews", where=str(reviews), cure=f"download it again from {edition.page}"
        )
    events = funnel(
        pa.array(users, pa.string()),
        pa.array(items, pa.string()),
        pa.array(stamps, pa.int64()),
        pa.array(values, pa.float64()),
    )
    catalog, notes = _catalog(edition, meta, dict.fromkeys(items))
    people = pa.table({"user_id": pa.array(dict.fromkeys(users), pa.string())})
    tables, repairs = repair(Tables(events, catalog, people))
    # Reviews are weeks apart where ratings of films are minutes apart, so coming back is asked within a season.
    labels = {**RATING_LABELS, "return": {"session_gap": "1h", "horizon": "90d", "later_day": True}}
    note = RATING_NOTE.replace("ratings, no impressions", "reviews, no impressions").replace(
        "was rated", "was reviewed"
    )
    reading = Reading(edition.name, "goods-en", labels=labels, note=note)
    return Loaded(tables, reading, [*notes, *(str(r) for r in repairs)])


def _find(edition: Edition, path: Path | None, category: str | None) -> tuple[Path, Path]:
    """The reviews and the metadata of one category."""
    cure = f"download a category's reviews and metadata from {edition.page} into one folder, and name it"
    if path is None or not path.is_dir():
        raise UserError(f"{edition.name} needs the folder you downloaded", where=str(path or ""), cure=cure)
    pairs: dict[str, tuple[Path, Path]] = {}
    for suffix in reversed(edition.suffixes):
        for meta in path.glob(f"meta_*{suffix}"):
            name = meta.name.removeprefix("meta_").removesuffix(suffix)
            for reviews in chain.from_iterable(
                (path / f"{name}{s}", path / f"{name}_5{s}") for s in edition.suffixes
            ):
                if reviews.is_file():
                    pairs[name] = (reviews, meta)
                    break
    if category and category in pairs:
        return pairs[category]
    if not pairs or category:
        have = f"; there are {', '.join(sorted(pairs))}" if pairs else ""
        example = f"{category or '<Category>'}{edition.suffixes[0]}"
        raise UserError(f"No {example} with meta_{example}{have}", where=str(path), cure=cure)
    if len(pairs) > 1:
        names = ", ".join(sorted(pairs))
        raise UserError(f"Several categories: {names}", where=str(path), cure="leave one in the folder")
    return next(iter(pairs.values()))


def _catalog(edition: Edition, meta: Path, touched: dict[str, None]) -> tuple[pa.Table, list[str]]:
    """The reviewed items. Averages and counts of ratings are left out: they know the future."""
    rows: dict[str, dict[str, Any]] = {}
    unreviewed = again = 0
    for line, record in _records(meta):
        item = record.get(edition.item)
        if not isinstance(item, str):
            raise _wrong(meta, line, edition.item, item, "text")
        unreviewed += item not in touched
        again += item in rows
        if item in touched and item not in rows:
            rows[item] = {
                "title": _words(record.get("title") or ""),
                "category": _categories(record.get(edition.categories)),
                "price": _price(record.get("price")),
            }
    empty: dict[str, Any] = {"title": "", "category": [], "price": None}
    catalog = pa.table(
        {
            "item_id": pa.array(touched, pa.string()),
            "title": pa.array([rows.get(i, empty)["title"] for i in touched], pa.string()),
            "category": pa.array([rows.get(i, empty)["category"] for i in touched], pa.list_(pa.string())),
            "price": pa.array([rows.get(i, empty)["price"] for i in touched], pa.float64()),
        }
    )
    counts = {
        f"reviewed items have no metadata: named after their {edition.item}": len(touched) - len(rows),
        "rows of metadata repeat an item: its first row kept": again,
        "rows of metadata belong to items without a review: left out": unreviewed,
    }
    return catalog, [f"{n:,} {what}" for what, n in counts.items() if n]


def _words(value: Any) -> str:
    """Text without HTML's escapes, and without halves of characters, which are not UTF-8."""
    return html.unescape(str(value)).encode("utf-8", "replace").decode("utf-8").strip()


def _categories(value: Any) -> list[str]:
    """Early files of 2018 nest the list once more."""
    flat = (
        chain.from_iterable(v if isinstance(v, list) else [v] for v in value)
        if isinstance(value, list)
        else []
    )
    return [text for v in flat if (text := _words(v))]


def _price(value: Any) -> float | None:
    """ "$1,299.00" and 12.5 are prices; "$5.00 - $9.00", "from 12.99" and scraps of a web page are not one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    found = re.fullmatch(r"\$?\s*(\d[\d,]*(?:\.\d+)?)", value.strip()) if isinstance(value, str) else None
    return float(found[1].replace(",", "")) if found else None


def _fields(path: Path, wanted: dict[str, Any]) -> Iterator[list[Any]]:
    """The wanted fields of each line, each of its type."""
    for line, record in _records(path):
        for name, kind in wanted.items():
            value = record.get(name)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise _wrong(path, line, name, value, "text" if kind is str else "a number")
        yield [record[name] for name in wanted]


def _wrong(path: Path, line: int, field: str, value: Any, kind: str) -> UserError:
    found = "is missing" if value is None else f"is {str(value)[:60]!r}, not {kind}"
    cure = "check that the folder holds the official files of this edition, not of the other"
    return UserError(f"{field} {found}", where=f"{path}, line {line}, field {field}", cure=cure)


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _open(path) as file:
        try:
            for line, text in enumerate(file, start=1):
                record = json.loads(text)
                if not isinstance(record, dict):
                    raise UserError("Not a JSON object", f"{path}, line {line}", "download the file again")
                yield line, record
        except UnicodeDecodeError as error:
            raise UserError(
                "Not UTF-8", f"{path}, near line {line + 1}", "download the file again"
            ) from error
        except json.JSONDecodeError as error:
            cure = "download the file again (2018's earlier editions were Python text, not JSON)"
            raise UserError(f"Not JSON: {error.msg}", f"{path}, line {line}", cure) from error
        except (EOFError, gzip.BadGzipFile) as error:
            raise UserError("The file is cut short", str(path), "download it again") from error


def _open(path: Path) -> TextIO:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
