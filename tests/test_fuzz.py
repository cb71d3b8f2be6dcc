"""A user's own log, however odd: tables that follow the schemas and labels that follow from them, or a UserError."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from genrec import labels, lines
from genrec.check import check
from genrec.errors import UserError
from genrec.reading import Loaded
from genrec.sources.files import load
from genrec.sources.files.units import UNITS as UNIT_NAMES
from genrec.tables import EVENTS
from genrec.tasks import Task, load_tasks, task_from
from prompts.pack import TASKS

FIXED = settings(
    max_examples=40, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
COLUMNS = ("user_id", "item_id", "ts", "event", "value", "position", "weight", "request_id", "event_id", "title",
           "category", "year", "")  # fmt: skip
TIMES = ("2024-05-31T18:00:00Z", "2024-05-31", "1700000000", "1e9", "-1", "0", "1969-12-31T23:59:59Z", "9999-12-31",
         "10000-01-01", "2024-02-30", "2024-W22-5", "20240531", "2024-05-31T24:00:00Z", "2024-05-31T18:00:60Z",
         "2024-05-31T18:00:00+99:99", "2024-05-31T18:00:00.123456789Z", "now", "today", "NaT", "0001-01-01",
         "٢٠٢٤")  # fmt: skip
WORDS = ("u", "1", "impression", "click", "convert", "visit", "", " ", "nan", "inf", "-inf", "1e400", "9" * 30, "0x1f",
         "true", "null", "None", "1_000", "1,5", '"', "'", "\x00", "\x1f", "\r", "\n", "\ufeff", "\u202e", "é",
         "😀", "=1+1", "1" * 400)  # fmt: skip
CELLS = st.sampled_from([*TIMES, *WORDS]) | st.text(max_size=5)
NUMBERS = (
    st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from([0, 1, -1, 1_700_000_000, 2**31, 2**63, 10**400])
)
VALUES = st.none() | st.booleans() | NUMBERS | CELLS
NESTED = VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.text(max_size=3), VALUES, max_size=2)
GOOD = {"user_id": "u", "item_id": "1", "ts": "2024-05-31T18:00:00Z", "event": "impression"}
ITEMS = b'{"item_id": "1", "title": "x"}\n{"item_id": "u", "title": ""}\n'
UNITS = st.sampled_from(["", *UNIT_NAMES])


def judged(folder: Path, files: dict[str, bytes], unit: str) -> None:
    """Loads and checks a folder of these files, and derives what follows."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    events = next(name for name in files if name.startswith("events"))
    items = next(name for name in files if name.startswith("items"))
    if unit:
        rules = "derive: {click: value >= 1, own: event != click}"
        text = (
            f"events: {{path: {events}, ts_unit: {unit}, {rules}}}\nitems: {{path: {items}, unknown: keep}}\n"
        )
        (folder / "mapping.yaml").write_text(text + "time_zone: Europe/Berlin\n")
    report = check(folder, [TASKS])
    str(report).encode()
    try:
        loaded = load(folder)
    except UserError as error:
        str(error).encode()
        assert report.exit_code == 2
        return
    assert report.exit_code == 0
    follows_the_schemas(loaded)
    derived(loaded.tables.events, load_tasks([TASKS], loaded.reading.tasks, loaded.reading.labels))


def follows_the_schemas(loaded: Loaded) -> None:
    tables = loaded.tables
    assert tables.events.schema == EVENTS
    for table, first in ((tables.events, "user_id"), (tables.items, "item_id"), (tables.users, "user_id")):
        table.validate(full=True)
        assert table.column_names[0] == first
        for field in table.schema:
            assert field.nullable or not table[field.name].null_count
    ids = tables.items["item_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    assert set(tables.events["item_id"].to_pylist()) - {None} <= set(ids)
    assert all(title.strip() == title and title.isprintable() for title in tables.items["title"].to_pylist())


def derived(events: pa.Table, tasks: dict[str, Task]) -> None:
    """Labels of a log that follows the schema."""
    try:
        frame = labels.event_frame(events)
        shown = labels.impressions(frame, tasks)
        found = labels.examples(frame, shown, tasks)
        lines.lines(frame, shown, tasks)
        labels.uncredited_events(frame, shown, tasks)
    except UserError as error:
        str(error).encode()
        return
    assert found.columns.tolist() == labels.EXAMPLE_COLUMNS
    assert (found.known_at >= found.ts).all()
    assert set(found.label) <= {-1, *range(max((len(t.answers) for t in tasks.values()), default=2))}
    assert len(shown) == int((frame.event == "impression").sum())


# ---- the three formats --------------------------------------------------------------------------------------


@FIXED
@given(st.data())
def test_any_csv(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    extra = data.draw(st.lists(st.sampled_from(COLUMNS) | st.text(max_size=3), max_size=3))
    names = [*GOOD, *extra]
    rows = []
    for _ in range(data.draw(st.integers(0, 4))):
        odd = data.draw(st.dictionaries(st.sampled_from(sorted(GOOD)), CELLS, max_size=1))
        rows.append([*{**GOOD, **odd}.values(), *(data.draw(CELLS) for _ in extra)])
    quoted = data.draw(st.booleans())

    def written(row: list[str]) -> str:
        return ",".join('"' + cell.replace('"', '""') + '"' if quoted else cell for cell in row)

    content = "\n".join(map(written, [names, *rows])).encode("utf-8", "surrogatepass")
    for at, junk in data.draw(st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=3)), max_size=1)):
        content = content[:at] + junk + content[at:]
    judged(tmp_path_factory.mktemp("log"), {"events.csv": content, "items.jsonl": ITEMS}, data.draw(UNITS))


@FIXED
@given(st.data())
def test_any_jsonl(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    changes = st.dictionaries(st.sampled_from(COLUMNS) | st.text(max_size=3), NESTED, max_size=2)
    log = [{**GOOD, **change} for change in data.draw(st.lists(changes, min_size=1, max_size=4))]
    item = {"item_id": "1", "title": "x"}
    items = [{**item, **change} for change in data.draw(st.lists(changes, min_size=1, max_size=2))]
    files = {}
    for name, records in (("events.jsonl", log), ("items.jsonl", items)):
        files[name] = "\n".join(map(json.dumps, records)).encode()
    for at, junk in data.draw(st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=3)), max_size=1)):
        files["items.jsonl"] = files["items.jsonl"][:at] + junk + files["items.jsonl"][at:]
    judged(tmp_path_factory.mktemp("log"), files, data.draw(UNITS))


def _instants(kind: pa.DataType) -> st.SearchStrategy[pa.Array]:
    ends = st.sampled_from([0, 1, -1, 1_700_000_000, 2**62, -(2**62)]) | st.integers(0, 2**40)
    bits = pa.int64() if kind.bit_width == 64 else pa.int32()
    return st.lists(st.none() | (ends if bits == pa.int64() else st.integers(-(2**31), 2**31 - 1)), min_size=2,
                    max_size=2).map(lambda v: pa.array(v, bits).cast(kind))  # fmt: skip


TEMPORAL = [pa.timestamp("s"), pa.timestamp("ms", tz="+02:00"), pa.timestamp("us"), pa.timestamp("ns", tz="UTC"),
            pa.date32(), pa.date64(), pa.time64("us"), pa.duration("s")]  # fmt: skip


def _two(values: st.SearchStrategy[Any], kind: pa.DataType) -> st.SearchStrategy[pa.Array]:
    return st.lists(st.none() | values, min_size=2, max_size=2).map(lambda v: pa.array(v, kind))


ARRAYS = st.one_of(
    st.sampled_from(TEMPORAL).flatmap(_instants),
    _two(st.floats(), pa.float64()),
    _two(st.floats(width=16), pa.float32()),
    _two(st.integers(0, 2**64 - 1), pa.uint64()),
    _two(st.integers(-(2**63), 2**63 - 1), pa.int64()),
    _two(st.booleans(), pa.bool_()),
    _two(CELLS, pa.string()),
    _two(CELLS, pa.string()).map(lambda a: a.dictionary_encode()),
    _two(CELLS, pa.large_string()),
    _two(st.binary(max_size=4), pa.binary()),
    st.just(pa.nulls(2)),
    _two(CELLS, pa.string_view()),
    _two(st.binary(max_size=4), pa.binary_view()),
    _two(st.binary(min_size=16, max_size=16), pa.binary(16)),
    _two(st.binary(min_size=16, max_size=16), pa.uuid()),
    _two(st.integers(-(10**38) + 1, 10**38 - 1), pa.decimal128(38, 0)),
    _two(st.integers(-(10**60), 10**60), pa.decimal256(70, 0)),
    _two(st.lists(CELLS, min_size=2, max_size=2), pa.list_(pa.string(), 2)),
    _two(st.lists(NUMBERS.filter(lambda n: n == n and abs(n) < 2**31), max_size=2), pa.large_list(pa.float64())),
    st.just(pa.array([Decimal("1.5"), None], pa.decimal128(20, 2))),
    st.just(pa.array([["a"], None], pa.list_(pa.string()))),
    st.just(pa.array([[1], []], pa.list_(pa.int64()))),
    st.just(pa.array([{"a": 1}, None])),
    st.just(pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64()))),
    st.just(pa.array([date(2024, 5, 31), date(1, 1, 1)])),
    st.just(pa.array([datetime(2024, 5, 31, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])),
)  # fmt: skip


@FIXED
@given(st.lists(st.tuples(st.sampled_from(COLUMNS), ARRAYS), max_size=2), st.booleans(), UNITS)
def test_any_parquet(
    tmp_path_factory: pytest.TempPathFactory, odd: list[tuple[str, pa.Array]], twice: bool, unit: str
) -> None:
    columns = {name: pa.array([value] * 2) for name, value in GOOD.items()}
    columns["ts"] = pa.array([datetime(2024, 5, 31, tzinfo=UTC)] * 2)
    folder = tmp_path_factory.mktemp("log")
    files = {}
    items = {"item_id": pa.array(["1", "2"]), "title": pa.array(["x", "y"])}
    for name, own in (("events.parquet", columns), ("items.parquet", items)):
        pairs = [*{**own, **dict(odd)}.items(), *(odd[:1] if twice else [])]
        try:
            pq.write_table(pa.table([a for _, a in pairs], names=[n for n, _ in pairs]), folder / name)
        except pa.ArrowException:  # what Arrow itself will not write is in nobody's file
            return
        files[name] = (folder / name).read_bytes()
    judged(folder, files, unit)


# ---- labels -------------------------------------------------------------------------------------------------

START = datetime(2024, 5, 31, tzinfo=UTC)
MOMENTS = st.sampled_from(
    [datetime(1970, 1, 1, tzinfo=UTC), START, datetime(2261, 1, 1, tzinfo=UTC)]
) | st.integers(0, 10**13).map(lambda n: START + timedelta(microseconds=n))
ROWS = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["u", "v", "", "\x00"]),
        "item_id": st.sampled_from([None, "1", "2", ""]),
        "ts": MOMENTS,
        "event": st.sampled_from(["impression", "click", "convert", "visit", "own", ""]),
        "value": st.none() | st.floats() | st.sampled_from([1.0, 5.0]),
        "event_id": st.none() | st.just("e"),
        "request_id": st.sampled_from([None, "", "r"]),
        "position": st.none() | st.integers(0, 3),
        "weight": st.none() | st.floats(min_value=1e-9),
    }
)
SPANS = st.sampled_from(
    ["0s", "1s", "30m", "12h", "7d", "365d", "100000d", "999999999999d", "soon", "", "-1d", "1.5h", 3, None]
)
RULES = st.one_of(
    st.fixed_dictionaries(
        {"rule": st.just("follows"), "event": st.sampled_from(["click", "own", "visit"]), "within": SPANS}),
    st.fixed_dictionaries(
        {"rule": st.just("value"), "values": st.lists(st.sampled_from([1, 5, 2.5, "x"]), max_size=3)}),
    st.fixed_dictionaries({"rule": st.just("next_item")}, optional={"event": st.sampled_from(["impression", "click"])}),
    st.fixed_dictionaries(
        {"rule": st.just("returns"), "session_gap": SPANS, "horizon": SPANS},
        optional={"event": st.sampled_from(["any", "visit"]), "later_day": st.booleans()},
    ),
    st.fixed_dictionaries({"rule": st.just("returns"), "cutoffs": st.lists(st.fixed_dictionaries(
        {"at": st.sampled_from(["2024-06-01", START.date(), "soon", "9999-12-31"]), "horizon": SPANS,
         "split": st.sampled_from(["train", "test"])}, optional={"gap": SPANS}), min_size=1, max_size=2)}),
)  # fmt: skip
KINDS = {"follows": "binary", "value": "binary", "next_item": "item", "returns": "binary"}


@settings(FIXED, max_examples=60)
@given(
    st.lists(ROWS, max_size=6),
    st.lists(
        st.tuples(st.sampled_from(["click", "convert", "mine", "return"]), RULES), min_size=1, max_size=3
    ),
)
def test_any_log_under_any_rules(rows: list[dict[str, Any]], rules: list[tuple[str, dict[str, Any]]]) -> None:
    tasks = {}
    for name, rule in rules:
        kind = KINDS[rule["rule"]]
        given_task = "click" if name == "convert" and rule["rule"] == "follows" else None
        raw = {"name": name, "kind": kind, "label": rule, "given": given_task}
        try:
            tasks[name] = task_from(
                {**raw, "answers": ["yes", "no"] if kind == "binary" else []}, "mine.yaml"
            )
        except UserError as error:
            str(error).encode()
    if (
        "convert" in tasks
        and tasks["convert"].given
        and ("click" not in tasks or tasks["click"].label["rule"] != "follows")
    ):
        del tasks["convert"]
    derived(pa.Table.from_pylist(rows, schema=EVENTS), tasks)


def test_a_time_is_no_number_also_where_no_calendar_has_it(tmp_path: Path) -> None:
    for seconds in (1_700_000_000, 769_000_000_000):  # in 2023, and in the year 26338
        columns = {name: pa.array([value]) for name, value in GOOD.items()}
        columns |= {
            "ts": pa.array([datetime(2024, 5, 31, tzinfo=UTC)]),
            "weight": pa.array([seconds], pa.timestamp("s")),
        }
        pq.write_table(pa.table(columns), tmp_path / "events.parquet")
        (tmp_path / "items.jsonl").write_bytes(ITEMS)
        with pytest.raises(UserError, match="weight is not a number"):
            load(tmp_path)
