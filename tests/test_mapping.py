"""The mapping: several event files, derived events, ids without a row, and tables that it does not name."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genrec.check import check
from genrec.errors import UserError
from genrec.findings import Findings
from genrec.sources.files import load, read
from genrec.sources.files.conditions import read_condition
from genrec.sources.files.mapping_file import find_mapping
from prompts.pack import TASKS

SHOP = """\
events:
  - path: shown.csv
    columns: {user_id: user, item_id: sku, ts: at, request_id: page}
    event: impression
    ts_unit: s
  - {path: clicks.jsonl, columns: {user_id: uid, item_id: sku, ts: ms, request_id: page}, event: click, ts_unit: ms}
  - path: orders.tsv
    columns: {user_id: customer, item_id: product, ts: day, value: amount, event: {always: convert}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "mapping.yaml").write_text(SHOP)
    (tmp_path / "shown.csv").write_text("user,sku,at,page\n7,a,1714500000,p\n8,b,1714500060,q\n")
    (tmp_path / "clicks.jsonl").write_text('{"uid": 7, "sku": "a", "ms": 1714500005000, "page": "p"}\n')
    (tmp_path / "orders.tsv").write_text("customer\tproduct\tday\tamount\n7\ta\t2024-05-01\t9.5\n")
    (tmp_path / "items.csv").write_text("item_id,title\na,Tea\nb,Cup\n")
    return tmp_path


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(folder)
    assert caught.value.cure
    return str(caught.value)


def noted(folder: Path) -> tuple[list[str], list[str]]:
    """(what is repaired, what is warned of)."""
    findings = Findings()
    assert read(find_mapping(folder, None), findings) is not None, findings.refused
    return findings.repaired, [finding.what for finding in findings.warned]


# ---- several files ------------------------------------------------------------------------------------------


def test_impressions_clicks_and_orders_are_files_of_their_own(shop: Path) -> None:
    tables, reading, _ = load(shop)
    rows = tables.events.select(["user_id", "item_id", "event", "value", "request_id"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("7", "a", "impression", None, "p"),
        ("7", "a", "click", None, "p"),
        ("8", "b", "impression", None, "q"),
        ("7", "a", "convert", 9.5, None),
    ]
    assert {"click", "convert"} <= set(reading.tasks)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("clicks.jsonl", '"a"', '"z"', ["item_id is not in items", "clicks.jsonl, line 1, column sku"]),
        ("orders.tsv", "9.5", "dear", ["value is not a number", "orders.tsv, line 2, column amount"]),
        ("shown.csv", "8,b", "8,", ["item_id is empty", "shown.csv, line 3, column sku"]),
        ("mapping.yaml", "path: orders.tsv", "delimiter: x", ["This entry has no path", "events[2]"]),
        ("mapping.yaml", "event: impression", "evnt: impression", ["did you mean 'event'", "events[0]"]),
    ],
)
def test_a_refusal_names_the_file_and_its_entry(
    file: str, old: str, new: str, words: list[str], shop: Path
) -> None:
    text = (shop / file).read_text()
    assert old in text
    (shop / file).write_text(text.replace(old, new, 1))
    message = refused(shop)
    for word in words:
        assert word in message


def test_every_file_is_judged_also_where_one_is_refused(shop: Path) -> None:
    (shop / "shown.csv").write_text("user,sku,at,page\n7,a,noon,p\n")
    (shop / "orders.tsv").unlink()
    wheres = [finding.where for finding in check(shop, [TASKS]).findings.refused]
    assert [Path(where.partition(",")[0]).name for where in wheres] == ["orders.tsv", "shown.csv"]


def test_an_event_is_stated_once(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,ts\nu,2024-05-31\n")
    (tmp_path / "mapping.yaml").write_text("events: {event: visit}\n")
    assert load(tmp_path).tables.events["event"].to_pylist() == ["visit"]
    (tmp_path / "mapping.yaml").write_text("events: {event: visit, columns: {event: kind}}\n")
    assert "stated twice" in refused(tmp_path)
    (tmp_path / "mapping.yaml").write_text("events: []\n")
    assert "names no events" in refused(tmp_path)


def test_tables_that_the_mapping_does_not_name_are_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,ts,event\nu,1,2024-05-31,click\n")
    (tmp_path / "items.csv").write_text("item_id,title\n1,Heat\n")
    (tmp_path / "users.csv").write_text("user_id,age\nu,30\n")
    (tmp_path / "mapping.yaml").write_text("labels: {click: {within: 5m}}\n")
    tables, reading, _ = load(tmp_path)
    assert reading.labels == {"click": {"within": "5m"}}
    assert tables.users.to_pylist() == [{"user_id": "u", "age": 30}]
    (tmp_path / "events.csv").unlink()
    assert "No events file" in refused(tmp_path)


def test_only_rows_out_of_order_within_a_file_are_counted(shop: Path) -> None:
    assert noted(shop)[0] == []  # the clicks' file begins before the impressions' file ends
    (shop / "shown.csv").write_text("user,sku,at,page\n7,a,1714500900,p\n8,b,1714500060,q\n")
    assert noted(shop)[0] == ["1 events stand after a later one in the file: sorted by time"]


# ---- derived events -----------------------------------------------------------------------------------------

RATINGS = "user,film,stars,at,page\nu,1,5,1714500000,p\nu,2,2,1714500060,p\nv,1,,1714500120,q\n"


def derived(folder: Path, derive: str, log: str = RATINGS) -> list[tuple[str, str, str, float | None, str]]:
    (folder / "events.csv").write_text(log)
    (folder / "items.csv").write_text("item_id,title\n1,Heat\n2,Up\n")
    (folder / "mapping.yaml").write_text(
        "events:\n"
        "  columns: {user_id: user, item_id: film, ts: at, value: stars, request_id: page}\n"
        "  event: impression\n"
        f"  ts_unit: s\n  derive: {derive}\n"
    )
    rows = load(folder).tables.events.select(["user_id", "item_id", "event", "value", "request_id"])
    return [tuple(row.values()) for row in rows.to_pylist()]


SHOWN = [
    ("u", "1", "impression", 5.0, "p"),
    ("u", "2", "impression", 2.0, "p"),
    ("v", "1", "impression", None, "q"),
]


@pytest.mark.parametrize("column", ["stars", "value"])  # the file's name, and ours
def test_a_threshold_makes_a_click_of_a_rating(column: str, tmp_path: Path) -> None:
    rows = derived(tmp_path, f"{{click: {column} >= 4, convert: {column} == 5}}")
    assert rows == [SHOWN[0], ("u", "1", "click", None, "p"), ("u", "1", "convert", None, "p"), *SHOWN[1:]]
    events = load(tmp_path).tables.events
    assert len(set(events.filter(pa.compute.equal(events["item_id"], "1"))["ts"].to_pylist()[:3])) == 1


@pytest.mark.parametrize(
    ("cells", "condition", "clicked"),
    [
        (("1", "0", ""), "flag == 1", [True, False, False]),
        (("True", "false", ""), "flag == 1", [True, False, False]),
        (("true", "0", "1"), "flag == true", [True, False, True]),
        (("1.0", "0", "2"), "flag != 0", [True, False, True]),
        (("1", "0", ""), "flag != 0", [True, False, False]),
        (("3", "4", "5"), "flag > 3", [False, True, True]),
        (("3", "4", "5"), "flag <= 3", [True, False, False]),
        (("-3", "4e1", ""), "flag < 4", [True, False, False]),
        (("paid", "open", ""), "flag == paid", [True, False, False]),
        (("paid", "paid in part", ""), "flag == 'paid in part'", [False, True, False]),
        (("paid", "open", ""), "flag != paid", [False, True, False]),
        (("7", "007", ""), "flag == '007'", [False, True, False]),
    ],
)
def test_conditions(cells: tuple[str, ...], condition: str, clicked: list[bool], tmp_path: Path) -> None:
    rows = [f"u,{1 + n % 2},1,{1714500000 + n},p,{cell}" for n, cell in enumerate(cells)]
    log = "\n".join(["user,film,stars,at,page,flag", *rows]) + "\n"
    events = derived(tmp_path, '{click: "' + condition + '"}', log)
    names = [event for _, _, event, *_ in events]
    expected = [name for click in clicked for name in (["impression", "click"] if click else ["impression"])]
    assert names == expected


@pytest.mark.parametrize(
    ("derive", "words"),
    [
        ("{click: 'stars => 4'}", ["'stars => 4' is no condition", "such as `rating >= 4`"]),
        ("{click: 'stars = 4'}", ["'stars = 4' is no condition"]),
        ("{click: 4}", ["4 is no condition", "events.derive.click"]),
        ("{click: 'stars >= 4 and stars < 5'}", ["more than one comparison"]),
        ("{click: 'stars > many'}", ["compares text by size", "rating >= 4"]),
        ("{click: 'stars > nan'}", ["nan is no number"]),
        ("{click: 'star >= 4'}", ["no column 'star'", "columns: user, film, stars"]),
        ("{click: 'page >= 4'}", ["page is no number to compare", "line 2, column page", "'p'"]),
        ("[click]", ["Expected `key: value` pairs"]),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(derive: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        derived(tmp_path, derive)
    for word in words:
        assert word in str(caught.value)


def test_a_click_that_is_derived_needs_an_item_too(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,ts,event,x\nu,1,2024-05-31,visit,0\nu,,2024-05-31,visit,1\n"
    )
    (tmp_path / "mapping.yaml").write_text("events: {derive: {click: x == 1}}\nitems: {unknown: keep}\n")
    assert "events.csv, line 3, column item_id" in refused(tmp_path)


def test_a_condition_that_holds_nowhere_is_warned_of(tmp_path: Path) -> None:
    assert derived(tmp_path, "{click: stars > 5}") == SHOWN
    assert "No row is a click: `stars > 5` holds nowhere" in noted(tmp_path)[1]


@given(st.text(max_size=20))
def test_no_text_is_evaluated(text: str) -> None:
    try:
        condition = read_condition(text, "")
    except UserError:
        return
    assert condition.operator in (">=", ">", "<=", "<", "==", "!=")
    assert isinstance(condition.value, float | str)


def test_a_wide_log_gives_the_clicks_of_its_flags(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,ts,clicked,bought\nu,1,2024-05-31,1,0\nu,2,2024-05-31,1,1\nv,1,2024-05-31,0,0\n"
    )
    (tmp_path / "items.csv").write_text("item_id,title\n1,Heat\n2,Up\n")
    (tmp_path / "mapping.yaml").write_text(
        "events: {event: impression, derive: {click: clicked == 1, convert: bought == 1}}\n"
    )
    loaded = load(tmp_path)
    events = loaded.tables.events["event"].to_pylist()
    assert [events.count(name) for name in ("impression", "click", "convert")] == [3, 2, 1]
    assert loaded.reading.tasks[:2] == ("click", "convert")
    assert noted(tmp_path)[1] == []  # every column is read


# ---- ids without a row --------------------------------------------------------------------------------------

LOG = """\
user_id,item_id,ts,event
u,1,2024-05-31T01:00,impression
u,9,2024-05-31T02:00,impression
w,1,2024-05-31T03:00,click
"""


@pytest.fixture
def gaps(tmp_path: Path) -> Path:
    """A log of the item 9 and the user w, who stand in no table."""
    (tmp_path / "events.csv").write_text(LOG)
    (tmp_path / "items.csv").write_text("item_id,title,price\n1,Heat,2.5\n")
    (tmp_path / "users.csv").write_text("user_id,age\nu,30\n")
    return tmp_path


def test_ids_without_a_row_are_refused_by_default(gaps: Path) -> None:
    for rule in ("", "items: {unknown: refuse}\n"):
        (gaps / "mapping.yaml").write_text(rule)
        wheres = [(f.what, f.where.rpartition("/")[2]) for f in check(gaps, [TASKS]).findings.refused]
        assert wheres == [
            ("item_id is not in items", "events.csv, line 3, column item_id"),
            ("user_id is not in users", "events.csv, line 4, column user_id"),
        ]
        assert "unknown: drop" in refused(gaps)


@pytest.mark.parametrize(
    ("written", "cure"),
    [("1 ", "take out the spaces"), ("1.0", "write 7 and not 7.0"), ("A", "upper and lower case")],
)
def test_ids_that_are_known_in_another_spelling_say_so(written: str, cure: str, gaps: Path) -> None:
    (gaps / "items.csv").write_text("item_id,title\n1,Heat\n9,Up\na,Jaws\n")
    (gaps / "users.csv").unlink()
    (gaps / "events.csv").write_text(LOG.replace("w,1,", f"w,{written},"))
    assert cure in refused(gaps)
    (gaps / "events.csv").write_text(LOG.replace("w,1,", "w,z,"))
    assert "another spelling" not in refused(gaps)


def test_dropped_ids_take_their_events_along_and_are_counted(gaps: Path) -> None:
    (gaps / "mapping.yaml").write_text("items: {unknown: drop}\nusers: {unknown: drop}\n")
    tables = load(gaps).tables
    assert tables.events.select(["user_id", "item_id"]).to_pylist() == [{"user_id": "u", "item_id": "1"}]
    assert noted(gaps)[0] == [
        "1 events are of 1 ids not in items: left out (9)",
        "1 events are of 1 ids not in users: left out (w)",
    ]


def test_kept_ids_have_a_row_of_their_own_and_are_counted(gaps: Path) -> None:
    (gaps / "mapping.yaml").write_text("items: {unknown: keep}\nusers: {unknown: keep}\n")
    tables = load(gaps).tables
    assert tables.events.num_rows == 3
    assert tables.items.to_pylist() == [
        {"item_id": "1", "title": "Heat", "price": 2.5},
        {"item_id": "9", "title": "Item 9", "price": None},
    ]
    assert tables.users.to_pylist() == [{"user_id": "u", "age": 30}, {"user_id": "w", "age": None}]
    assert noted(gaps)[0][0] == "1 events are of 1 ids not in items: kept, with the id alone (9)"


def test_a_log_may_go_without_an_items_file(gaps: Path) -> None:
    (gaps / "items.csv").unlink()
    assert "items: {unknown: keep}" in refused(gaps)
    (gaps / "mapping.yaml").write_text("items: {unknown: keep}\nusers: {unknown: keep}\n")
    assert load(gaps).tables.items["title"].to_pylist() == ["Item 1", "Item 9"]


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("items: {unknown: kep}", ["unknown is 'kep'", "refuse, drop, keep"]),
        ("events: {unknown: keep}", ["Unknown key 'unknown'"]),
        ("items: {missing: drop}", ["Unknown key 'missing'"]),
        ("users: {path: nobody.csv, unknown: keep}", ["No such file"]),
        ("items: {path: 5}", ["path is 5"]),
    ],
)
def test_slips_of_the_mapping(mapping: str, words: list[str], gaps: Path) -> None:
    (gaps / "mapping.yaml").write_text(mapping)
    for word in words:
        assert word in refused(gaps)


def test_a_log_of_unknown_ids_alone_is_refused(gaps: Path) -> None:
    (gaps / "mapping.yaml").write_text("users: {unknown: drop}\nitems: {unknown: keep}\n")
    (gaps / "users.csv").write_text("user_id\nz\n")
    assert "No event is left" in refused(gaps)
