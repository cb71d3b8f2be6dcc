"""Amazon Reviews 2018 and 2023, from small files in their exact format."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from genrec.errors import UserError
from genrec.sources import amazon, load_source


def _write(path: Path, records: list[dict[str, Any]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def folder_2018(tmp_path: Path) -> Path:
    review = {
        "overall": 5.0, "vote": "67", "verified": True, "reviewTime": "09 18, 1999", "reviewerID": "AAP7PPBU72QFM",
        "asin": "0151004714", "style": {"Format:": " Hardcover"}, "reviewerName": "D. C.", "reviewText": "True",
        "summary": "A star", "unixReviewTime": 937612800,
    }  # fmt: skip
    _write(tmp_path / "Books_5.json.gz", [review, review, {**review, "overall": 2.0, "asin": "B2"}])
    _write(
        tmp_path / "meta_Books.json.gz",
        [
            {"category": ["Books", "Fiction &amp; Poetry"], "title": "Tom &amp; Me", "price": "$1,012.99",
             "asin": "0151004714", "rank": "1 in Books", "also_buy": []},
            {"category": [], "title": "Never reviewed", "price": ".a-section { color: red }", "asin": "B9"},
        ],
    )  # fmt: skip
    return tmp_path


def test_amazon_2018_in_its_own_format(folder_2018: Path) -> None:
    tables, reading, repairs = load_source("amazon-2018", folder_2018)
    rows = tables.events.select(["user_id", "item_id", "ts", "event", "value"]).to_pylist()
    day, user = datetime(1999, 9, 18, tzinfo=UTC), "AAP7PPBU72QFM"
    assert [tuple(row.values()) for row in rows] == [
        (user, "0151004714", day, "impression", 5.0),
        (user, "0151004714", day, "click", None),
        (user, "0151004714", day, "convert", None),
        (user, "B2", day, "impression", 2.0),
    ]
    assert tables.items.to_pylist() == [
        {
            "item_id": "0151004714",
            "title": "Tom & Me",
            "category": ["Books", "Fiction & Poetry"],
            "price": 1012.99,
        },
        {"item_id": "B2", "title": "Untitled B2", "category": [], "price": None},
    ]
    assert (reading.name, reading.pack) == ("amazon-2018", "goods-en")
    assert "no impressions" in reading.note
    assert [r.split()[0] for r in repairs[:2]] == [
        "1",
        "1",
    ]  # one item without metadata, one without a review


def test_amazon_2023_in_its_own_format(tmp_path: Path) -> None:
    _write(
        tmp_path / "All_Beauty.jsonl.gz",
        [
            {"rating": 4.0, "title": "Smells good", "text": "Nice", "images": [], "asin": "B00YQ6X8EO",
             "parent_asin": "B0P", "user_id": "AGKH", "timestamp": 1588687728923, "helpful_vote": 0,
             "verified_purchase": True},
        ],
    )  # fmt: skip
    _write(
        tmp_path / "meta_All_Beauty.jsonl.gz",
        [
            {"main_category": "All Beauty", "title": "Spray", "average_rating": 4.8, "rating_number": 10,
             "features": [], "description": [], "price": "from 12.99", "store": "Howard", "categories": ["Hair"],
             "details": {}, "parent_asin": "B0P", "bought_together": None},
        ],
    )  # fmt: skip
    tables, reading, repairs = load_source("amazon-2023", tmp_path)
    assert tables.events["event"].to_pylist() == ["impression", "click"]
    assert tables.events["ts"].to_pylist()[0] == datetime(2020, 5, 5, 14, 8, 48, 923000, tzinfo=UTC)
    # The average rating knows the future: it must not come in.
    assert tables.items.to_pylist() == [
        {"item_id": "B0P", "title": "Spray", "category": ["Hair"], "price": None}
    ]
    assert reading.name == "amazon-2023"
    assert repairs == []


def test_a_wrong_amazon_folder_is_refused(folder_2018: Path) -> None:
    with pytest.raises(UserError, match=r"No <Category>\.jsonl\.gz"):
        amazon.load_2023(folder_2018)
    with pytest.raises(UserError, match="there are Books"):
        amazon.load_2018(folder_2018, category="Toys")
    _write(
        folder_2018 / "Books_5.json.gz",
        [{"overall": 5, "reviewerID": "A", "asin": "B", "unixReviewTime": "1999"}],
    )
    with pytest.raises(UserError, match="line 1, field unixReviewTime"):
        amazon.load_2018(folder_2018)
    (folder_2018 / "Books_5.json.gz").write_bytes((folder_2018 / "Books_5.json.gz").read_bytes()[:12])
    with pytest.raises(UserError, match="cut short"):
        amazon.load_2018(folder_2018)
