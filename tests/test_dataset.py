"""A prepared data set: which numbers its lines say, and what is known at the log's end."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from small_logs import NEXT, TASKS, prepared, row, table

from genrec import summary
from genrec.cli import dispatch
from genrec.dataset import Prepared, prepare
from genrec.errors import UserError
from genrec.files import NEW, temporary
from genrec.findings import Findings
from genrec.reading import Loaded, Reading
from genrec.statistics import COLUMNS
from genrec.tables import Tables
from serve.served import Served


def sought() -> Prepared:
    """Ten users, one every half hour, are shown a and click it."""
    shown = [(f"u{k}", "a", 30 * k, e) for k in range(10) for e in ("impression", "click")]
    return prepared([row(*r) for r in shown], fractions=[0.5, 0.2, 0.3], by="time")


def test_running_lines_say_running_numbers_and_frozen_lines_frozen_ones() -> None:
    data = sought()
    assert data.lines_in("running") is data.lines
    running, frozen = data.lines, data.lines_in("frozen")
    assert running.item_count.tolist() == list(range(10))
    trained = int((data.lines.known_at < data.train_end).sum())
    assert 2 < trained < 8
    assert frozen.item_count.tolist() == [min(k, trained) for k in range(10)]
    for name in COLUMNS:
        np.testing.assert_array_equal(frozen[name], data.lines[f"frozen_{name}"])
    others = [c for c in data.lines if c not in COLUMNS]
    pd.testing.assert_frame_equal(frozen[others], data.lines[others])


def test_now_is_the_logs_end_and_what_had_not_closed_by_then_is_not_known(tmp_path: Path) -> None:
    """Clicks are known ten minutes after the impression, conversions twenty after the click."""
    prepared(
        [
            *(row("u", "a", 0, e) for e in ("impression", "click", "convert")),
            *(row("v", "a", 15, e) for e in ("impression", "click", "convert")),
            *(row("u", "b", 15, e) for e in ("impression", "click")),
            row("v", "c", 15.1, "impression"),
            *(row("u", "c", 20, e) for e in ("impression", "click")),
            row("w", None, 25, "visit"),
        ]
    ).save(tmp_path)
    data = Prepared.load(tmp_path)
    now = data.statistics_now()
    items = {item: now.items.values[code].tolist() for item, code in now.item_codes.items()}
    assert {item: counts[:2] for item, counts in items.items()} == {"a": [2, 2], "b": [1, 1]}
    assert items["a"][3:] == [1, 1]  # the second purchase is not yet one
    assert data.points_now() == {"u": 3, "v": 1}  # of 4, conversions among them, and of 3
    assert data.lines.user_id.value_counts().to_dict() == {"u": 4, "v": 3}
    assert data.followers_now("next").count[:3].tolist() == [3, 1, 0]
    none = cast(Any, None)
    served = Served(none, data, none, none, none, none, none)
    assert [served.point(user) for user in "uvw"] == [3, 1, 0]
    assert served.touched("u", NEXT, served.point("u")) == ["a", "a", "b"]
    assert served.touched("u", NEXT) == ["a", "a", "b", "c"]  # not recommended again, known or not


def catalog(*ids: str) -> Loaded:
    """A log of one impression and these items."""
    items = pa.table({"item_id": ids, "title": ids})
    tables = Tables(table([row("u", ids[0], 0, "impression")]), items, pa.table({"user_id": ["u"]}))
    return Loaded(tables, Reading("small", "goods-en", tuple(TASKS)), [])


def test_no_source_may_bring_ids_that_cannot_be_joined() -> None:
    with pytest.raises(UserError, match=r"item_id 'b\\x1fc' holds the control character U\+001F"):
        prepare(catalog("a", "b\x1fc"), TASKS)


def test_the_summary_says_when_a_catalog_is_larger_than_what_is_tracked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = prepare(catalog("a", "b", "c"), TASKS)
    assert "tracked" not in summary.summary(data, Findings())
    monkeypatch.setattr(summary, "TRACKED_ITEMS", 2)
    assert "tracked   the first 2 of 3 items to be met: the others have shares" in summary.summary(
        data, Findings()
    )


def test_tables_and_prepared_data_of_two_runs_are_refused(tmp_path: Path) -> None:
    for name, end in (("one", 1), ("two", 2)):
        prepared([row("u", "a", 0, "impression"), row("u", "a", end, "click")]).save(tmp_path / name)
    shutil.rmtree(tmp_path / "one" / "prepared")
    shutil.copytree(tmp_path / "two" / "prepared", tmp_path / "one" / "prepared")
    with pytest.raises(UserError, match="tables/ and prepared/ are of two runs of `genrec data prepare`"):
        Prepared.load(tmp_path / "one")
    Prepared.load(tmp_path / "two")


def test_a_prepare_that_was_killed_is_named_where_it_left_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No prepared data set") as refused:
        Prepared.load(tmp_path)
    assert "run that first" in refused.value.cure
    (tmp_path / f"{temporary(NEW)}abcd_012").mkdir()
    with pytest.raises(UserError, match="No prepared data set") as refused:
        Prepared.load(tmp_path)
    assert "was killed or still runs" in refused.value.cure


def test_what_is_read_late_is_refused_where_the_data_set_was_prepared_anew(tmp_path: Path) -> None:
    """A server reads the latest statistics when they are first asked for."""
    prepared([row("u", "a", 0, "impression"), row("u", "a", 1, "click")]).save(tmp_path)
    early, late = Prepared.load(tmp_path), Prepared.load(tmp_path)
    early.statistics_now()
    prepared([row("u", "a", 0, "impression"), row("u", "a", 2, "click")]).save(tmp_path)
    early.statistics_now()
    with pytest.raises(UserError, match="prepared anew since it was opened"):
        late.statistics_now()


# `genrec data prepare` where no file may grow beyond some bytes: the system refuses the write, as a full disk does.
ON_A_FULL_DISK = """
import resource, sys
from genrec.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.exit(main(["data", "prepare", "simulator", "--set", "users=20", "--out", sys.argv[1]]))
"""


def test_a_full_disk_is_named_with_its_place_and_leaves_the_data_set_that_was_there(tmp_path: Path) -> None:
    out = tmp_path / "shop"
    prepared([row("u", "a", 0, "impression"), row("u", "a", 1, "click")]).save(out)
    before = Prepared.load(out).generation
    done = subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK, str(out)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "error: A file is larger than may be written here" in done.stderr
    assert f"where: {out}\n" in done.stderr
    assert Prepared.load(out).generation == before
    assert sorted(path.name for path in out.iterdir()) == ["prepared", "tables"]


def test_a_place_that_cannot_be_written_to_is_refused_before_the_log_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "shop")
    with pytest.raises(UserError, match="This place cannot be written to"):
        dispatch(["data", "prepare", "files", str(tmp_path / "no-such-log"), "--out", out])
