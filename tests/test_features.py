"""What tabular baselines read of an example: statistics, the recent history, columns and titles."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from small_shop import shop

from eval import recent_history
from eval.features import ColumnSet, Features, attributes, column_sets, title_vectors
from eval.recent_history import PRIOR, RecentHistory
from genrec.dataset import Prepared
from genrec.durations import DAY

ITEMS = ["apple", "pear", "plum"]
# One user's lines, oldest first: item, day, kind, click, convert, value.
LINES = [
    ("apple", 1.0, "impression", 1, 1, 4.0),
    ("pear", 3.0, "impression", 0, 0, 2.0),
    ("apple", 4.0, "impression", 1, 0, 5.0),
    ("plum", 2.5, "conversion", 1, 1, 7.0),
]


def made_up(item_share: float = 0.25) -> Prepared:
    """The lines of "ann" above behind one of somebody else's; statistics are the same in all of them."""
    data = shop()
    columns = ["item_id", "ts", "kind", "click", "convert", "value"]
    lines = pd.DataFrame([("pear", 0.0, "impression", 1, 1, 3.0), *LINES], columns=columns)
    lines.insert(0, "user_id", ["aaron", *["ann"] * len(LINES)])
    lines["ts"] = (lines.ts * DAY).astype(np.int64)
    for name in data.lines.columns.difference(lines.columns):
        lines[name] = 0.5 if name.endswith("share") else 0
    lines["item_share"], lines["frozen_item_share"] = item_share, item_share + 0.5
    return replace(data, lines=lines)


def asked(point: int, item: str = "apple", user: str = "ann", day: float = 10.0) -> pd.DataFrame:
    return pd.DataFrame({"user_id": [user], "item_id": [item], "ts": [int(day * DAY)], "point": [point]})


def history(
    data: Prepared, examples: pd.DataFrame, regime: str = "running", likeness: np.ndarray | None = None
) -> dict[str, float]:
    vectors = {} if likeness is None else {"taste": likeness}
    found = RecentHistory(data, regime, ITEMS, vectors).of(examples)
    row: dict[str, float] = found.iloc[0].to_dict()
    return row


def test_history_by_hand() -> None:
    found = history(made_up(), asked(4))
    assert found["history_count"] == 4
    assert found["history_clicks"] == pytest.approx(2 / 3)  # of the three impressions
    assert found["history_converts"] == pytest.approx(2 / 4)
    assert found["history_residual"] == pytest.approx((0.75 - 0.25 + 0.75) / (3 + PRIOR))
    assert found["history_match_residual"] == pytest.approx((0.5 - 0.5 + 0.5) / (3 + PRIOR))
    assert found["history_convert_residual"] == pytest.approx((0.5 - 0.5) / (2 + PRIOR))
    assert np.isnan(found["history_value"])  # a line with answers states no value
    assert found["days_since_line"] == pytest.approx(6.0)
    assert found["history_gap_days"] == pytest.approx(1.0)  # days 1, 2.5, 3 and 4
    assert found["history_last_gap_days"] == pytest.approx(1.0)
    assert found["history_days"] == pytest.approx(3.0)
    assert found["history_same_item"] == 2
    assert found["history_same_item_residual"] == pytest.approx(1.5 / (2 + PRIOR))


def test_the_value_is_read_where_lines_state_it() -> None:
    data = made_up()
    data = replace(
        data, tasks={name: task for name, task in data.tasks.items() if name not in ("click", "convert")}
    )
    assert history(data, asked(4))["history_value"] == pytest.approx((4 + 2 + 5 + 7) / 4)


def test_history_ends_at_the_point() -> None:
    found = history(made_up(), asked(2))
    assert found["history_count"] == 2
    assert found["history_clicks"] == pytest.approx(0.5)
    assert found["history_last3"] == pytest.approx(0.5)
    later = made_up()
    later.lines.loc[3:, ["click", "convert", "item_share", "ts"]] = 0
    assert history(later, asked(2)) == pytest.approx(found, nan_ok=True)
    earlier = made_up()
    earlier.lines.loc[2, "click"] = 1
    assert history(earlier, asked(2))["history_clicks"] == 1.0


def test_history_holds_the_latest_lines_alone() -> None:
    columns = RecentHistory(made_up(), "running", ITEMS, {}, 2).of(asked(4)).iloc[0]
    assert (columns["history_count"], columns["history_clicks"]) == (2, 1.0)


def test_frozen_history_reads_frozen_shares() -> None:
    found = history(made_up(), asked(2), "frozen")
    assert found["history_residual"] == pytest.approx((0.25 - 0.75) / (2 + PRIOR))


@pytest.mark.parametrize(("user", "point"), [("ann", 0), ("stranger", 0)])
def test_nobody_without_lines_has_those_of_another(user: str, point: int) -> None:
    found = history(made_up(), asked(point, user=user), likeness=np.eye(3))
    assert (found["history_count"], found["history_residual"], found["history_same_item"]) == (0, 0, 0)
    assert np.isnan([found["history_clicks"], found["days_since_line"], found["history_taste_alike"]]).all()


def test_residuals_on_items_alike_count_by_likeness() -> None:
    likeness = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])  # apple to pear .6, to plum 0
    found = history(made_up(), asked(3), likeness=likeness)
    assert found["history_taste_alike"] == pytest.approx((1 + 0.6 + 1) / 3)
    assert found["history_taste_residual"] == pytest.approx((0.75 - 0.6 * 0.25 + 0.75) / (2.6 + PRIOR))
    unknown = history(made_up(), asked(3, "kiwi"), likeness=likeness)
    assert np.isnan(unknown["history_taste_alike"])
    assert unknown["history_taste_residual"] == 0


def test_history_is_the_same_in_chunks_and_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    data = shop()
    rows = data.rows("click", "test")[:50]
    whole = Features(data, "running").of(data, rows)
    monkeypatch.setattr(recent_history, "CHUNK", 7)
    turned = Features(data, "running").of(data, rows[::-1])
    pd.testing.assert_frame_equal(turned.iloc[::-1], whole)


def test_features_are_numbers_of_the_row_its_item_and_its_user() -> None:
    data = shop()
    rows = data.rows("click", "test")[:5]
    columns = Features(data, "frozen").of(data, rows)
    assert columns["item_share"].tolist() == data.stats["frozen"].item_share.iloc[rows].tolist()
    assert {"price", "age", "history_count", "title_0"} <= set(columns)
    assert any(name.startswith("category=") for name in columns)
    assert columns.history_count.tolist() == np.minimum(data.examples.point.iloc[rows], 35).tolist()


def test_features_read_the_lines_of_the_data_they_are_asked_of() -> None:
    data = shop()
    rows = data.rows("click", "test")[-5:]
    features = Features(data, "running")
    before = features.of(data, rows).history_clicks
    other = replace(data, lines=data.lines.assign(click=1))
    assert (before < 1).all()
    assert (features.of(other, rows).history_clicks == 1).all()


def test_a_set_of_columns_leaves_its_groups_out() -> None:
    columns = Features(shop(), "running").of(shop(), shop().rows("click", "test")[:5])
    bare = ColumnSet(titles=False, user_statistics=False).of(columns)
    gone = set(columns) - set(bare)
    assert {"title_0", "history_title_residual", "user_share", "match_share", "recent3_share"} <= gone
    assert {"item_share", "history_residual", "history_category_residual", "sessions"} <= set(bare)
    assert list(ColumnSet().of(columns)) == list(columns)


def test_the_users_statistics_may_be_left_out_where_they_are_frozen() -> None:
    assert {chosen.user_statistics for chosen in column_sets("running")} == {True}
    assert {chosen.user_statistics for chosen in column_sets("frozen")} == {True, False}


def test_titles_are_learned_from_items_that_training_met() -> None:
    data = shop()
    rare = data.tables.items["item_id"].to_pylist()[0]
    lines = data.lines[data.lines.item_id != rare]
    titles = [
        "wholly unheard of" if item == rare else "red shoe" if number % 2 else "blue shirt"
        for number, item in enumerate(data.tables.items["item_id"].to_pylist())
    ]
    place = data.tables.items.column_names.index("title")
    items = data.tables.items.set_column(place, data.tables.items.field(place), pa.array(titles))
    found = title_vectors(replace(data, lines=lines, tables=replace(data.tables, items=items)))
    shoes, shirts = found[1], found[2]
    assert found[3] @ shoes == pytest.approx(1.0)
    assert shoes @ shirts < 0.9
    assert not found[0].any()


def test_attributes_of_lists_and_texts_become_columns() -> None:
    table = pa.table(
        {"item_id": ["a", "b"], "kind": ["x", None], "tags": [["p", "q"], ["q"]], "year": [1990, 2000]}
    )
    found = attributes(table, "item_id")
    assert found.loc["a"].to_dict() == {"kind=x": 1.0, "tags=q": 1.0, "tags=p": 1.0, "year": 1990.0}
    assert found.loc["b"].to_dict() == {"kind=x": 0.0, "tags=q": 1.0, "tags=p": 0.0, "year": 2000.0}
