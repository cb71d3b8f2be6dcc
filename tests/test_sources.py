"""MovieLens and CDNOW: the real files, and MovieLens 1M from small files in its exact format."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from genrec.errors import UserError
from genrec.sources import cdnow, load_source, movielens
from genrec.tables import EVENTS


def test_movielens_100k_is_read_as_the_stand_in_it_is() -> None:
    tables, reading, repairs = movielens.load_100k()
    assert tables.events.schema.equals(EVENTS)
    counts = {c["values"]: c["counts"] for c in tables.events["event"].value_counts().to_pylist()}
    assert counts == {"impression": 100_000, "click": 55_375, "convert": 21_201}
    assert (tables.items.num_rows, tables.users.num_rows) == (1_682, 943)
    assert tables.users.filter(pc.equal(tables.users["user_id"], "1")).to_pylist() == [
        {"user_id": "1", "age": 24, "gender": "male", "occupation": "technician"}
    ]
    assert tables.items.filter(pc.equal(tables.items["item_id"], "1")).to_pylist() == [
        {
            "item_id": "1",
            "title": "Toy Story",
            "year": 1995,
            "category": ["Animation", "Children's", "Comedy"],
        }
    ]
    assert len(set(tables.items["title"].to_pylist())) == 1_682
    # User 196 rated film 242 with a 3: shown, neither clicked nor converted.
    mine = pc.and_(pc.equal(tables.events["user_id"], "196"), pc.equal(tables.events["item_id"], "242"))
    rows = tables.events.filter(mine).select(["event", "value", "ts"]).to_pylist()
    assert rows == [
        {"event": "impression", "value": 3.0, "ts": datetime(1997, 12, 4, 15, 55, 49, tzinfo=UTC)}
    ]
    assert (reading.name, reading.pack) == ("movielens-100k", "films-en")
    assert reading.labels["return"] == {"session_gap": "1h", "horizon": "7d", "later_day": True}
    assert "Stand-in" in reading.note
    assert any(r.startswith("28 titles equal another item's") for r in repairs)


def test_the_steps_of_one_rating_share_its_moment_and_stand_in_the_funnels_order() -> None:
    events = movielens.load_100k().tables.events
    mine = events.filter(pc.and_(pc.equal(events["user_id"], "259"), pc.equal(events["item_id"], "298")))
    rating = mine["value"].to_pylist()[0]
    assert mine["event"].to_pylist() == ["impression", "click", "convert"][: {5.0: 3, 4.0: 2}.get(rating, 1)]
    assert len(set(mine["ts"].to_pylist())) == 1


@pytest.fixture
def ml_1m(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text("1::10::5::978300760\n1::20::3::978302109\n2::10::4::978301968\n")
    (folder / "movies.dat").write_bytes(
        "10::Misérables, Les (1995)::Drama|Musical\n20::Toy Story (1995)::Animation|Children's|Comedy\n".encode(
            "latin-1"
        )
    )
    (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    return folder


@pytest.mark.parametrize("up", [False, True])
def test_movielens_1m_is_read_from_its_folder_or_the_one_above(ml_1m: Path, up: bool) -> None:
    tables, reading, _ = load_source("movielens-1m", ml_1m.parent if up else ml_1m)
    assert tables.events["event"].to_pylist() == [
        "impression",
        "click",
        "convert",
        "impression",
        "click",
        "impression",
    ]
    assert tables.items.to_pylist()[0] == {
        "item_id": "10", "title": "Les Misérables", "year": 1995, "category": ["Drama", "Musical"],
    }  # fmt: skip
    assert tables.users.to_pylist() == [
        {"user_id": "1", "age": "under 18", "gender": "female", "occupation": "student"},
        {"user_id": "2", "age": "56 or older", "gender": "male", "occupation": "self-employed"},
    ]
    assert reading.name == "movielens-1m"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("ratings.dat", "1::10::5\n", ["3 fields instead of 4", "ratings.dat, line 1"]),
        (
            "ratings.dat",
            "1::10::5::978300760\n1::10::five::978300760\n",
            ["Field 3 is not a whole number", "line 2"],
        ),
        ("ratings.dat", "1::99::5::978300760\n", ["movies.dat", "99"]),
        ("users.dat", None, ["No users.dat", "https://grouplens.org"]),
    ],
)
def test_a_broken_movielens_folder_is_refused(
    file: str, text: str | None, words: list[str], ml_1m: Path
) -> None:
    if text is None:
        (ml_1m / file).unlink()
    else:
        (ml_1m / file).write_text(text)
    with pytest.raises(UserError) as caught:
        movielens.load_1m(ml_1m)
    assert all(word in str(caught.value) for word in words)


def test_cdnow_has_every_purchase_and_the_published_share_of_returns() -> None:
    tables, reading, _ = cdnow.load()
    assert tables.events.schema.equals(EVENTS)
    assert (tables.events.num_rows, tables.users.num_rows, tables.items.num_rows) == (69_659, 23_570, 0)
    assert set(tables.events["event"].to_pylist()) == {"convert"}
    assert pc.sum(tables.events["value"]).as_py() == pytest.approx(2_500_315.63)
    assert reading.tasks == ("return",)
    test = reading.labels["return"]["cutoffs"][-1]
    assert test == {"at": "1997-09-30", "gap": "92d", "horizon": "181d", "split": "test"}
    opens, closes = _window(test)
    assert (opens, closes) == (date(1998, 1, 1), date(1998, 7, 1))
    inside = [
        user
        for user, ts in zip(
            tables.events["user_id"].to_pylist(), tables.events["ts"].to_pylist(), strict=True
        )
        if opens <= ts.date() < closes
    ]
    assert len(set(inside)) / 23_570 == pytest.approx(0.228, abs=0.0005)


def test_cdnow_learns_from_nothing_that_the_test_date_does_not_know() -> None:
    cutoffs = cdnow.load().reading.labels["return"]["cutoffs"]
    learning = [c for c in cutoffs if c["split"] != "test"]
    assert {c["split"] for c in learning} == {"train", "valid"}
    assert all(_window(c)[1] <= date(1997, 10, 1) for c in learning)
    assert all(date.fromisoformat(c["at"]) >= date(1997, 3, 25) for c in learning)
    shares = {(c["split"], *c["users"]) for c in learning}
    assert shares == {("train", 0.2, 1.0), ("valid", 0.0, 0.2)}  # no customer is in both
    asked = [(c["at"], c["gap"], c["horizon"], c["split"]) for c in learning]
    assert len(set(asked)) == len(asked)


def _window(cutoff: dict[str, Any]) -> tuple[date, date]:
    opens = date.fromisoformat(cutoff["at"]) + timedelta(days=1 + int(cutoff["gap"].removesuffix("d")))
    return opens, opens + timedelta(days=int(cutoff["horizon"].removesuffix("d")))


def test_a_source_is_found_by_its_name_or_refused_with_the_nearest() -> None:
    assert load_source("cdnow", mapping=None).reading.name == "cdnow"
    with pytest.raises(UserError, match="movielens-100k"):
        load_source("movielens-10k")
    with pytest.raises(UserError, match="no option 'mapping'"):
        load_source("cdnow", mapping=Path("m.yaml"))
