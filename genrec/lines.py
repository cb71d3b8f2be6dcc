"""History lines: what was shown, clicked, bought or touched, in the order in which it became known."""

import zlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from genrec.labels import followed, further_conversions, known_together, touch_events
from genrec.statistics.sums import Sums, codes
from genrec.tasks import Task

LOG_KINDS = {
    "shown": "impressions with their answers",
    "bought": "items, all of them bought",
    "touched": "items that were chosen or rated",
    "seen": "items of which some were shown, and nothing says more",
    "purchases": "purchases without items",
    "visits": "no lines",
}


def lines(frame: pd.DataFrame, shown: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The history as it became known, in the order in which it did: what a prompt's lines are written from.

    With a click task an impression's line appears when its click label matured, with its convert outcome if that was
    known by then; a conversion whose label matures later has a line of its own, once it has: were it there as soon as
    the user bought, a click without one would look like a no before its time. So does every further conversion of that
    click. Touches that no impression accounts for
    (genrec.labels.touch_events) are lines at their own time. So is every impression where there is no click task.

    kind: impression | conversion | purchase (a conversion that is no impression's) | touch (anything else).
    """
    answered = "click" in tasks and len(shown) > 0
    inline = known_together(shown)
    seen = pd.DataFrame(
        {
            "user_id": shown.user_id, "item_id": shown.item_id, "ts": shown.ts,
            "known_at": shown.click_known_at if answered else shown.ts, "kind": "impression" if answered else "touch",
            "click": shown.click if answered else 0,
            "convert": shown.convert.where(inline | (shown.click == 0), -1) if answered else 0,
            "value": shown.value, "impression": shown.position_in_log,
        }
    )  # fmt: skip
    late = shown[(shown.convert == 1) & ~inline] if answered else shown[:0]
    bought = pd.DataFrame(
        {
            "user_id": late.user_id, "item_id": late.item_id, "ts": late.convert_ts, "known_at": late.convert_known_at,
            "kind": "conversion", "click": 1, "convert": 1, "value": late.value, "impression": late.position_in_log,
        }
    )  # fmt: skip
    again = further_conversions(frame, shown, tasks) if answered else frame[:0].assign(target=0)
    of = shown.loc[again.target]
    bought_again = pd.DataFrame(
        {
            "user_id": again.user_id, "item_id": again.item_id, "ts": again.ts,
            "known_at": of.convert_known_at.to_numpy(), "kind": "conversion", "click": 1, "convert": 1,
            "value": again.value, "impression": of.position_in_log.to_numpy(),
        }
    )  # fmt: skip
    rows = touch_events(frame, shown, tasks)
    is_purchase = rows.event == followed(tasks, "convert")["event"]
    touched = pd.DataFrame(
        {
            "user_id": rows.user_id, "item_id": rows.item_id, "ts": rows.ts, "known_at": rows.ts,
            "kind": np.where(is_purchase, "purchase", "touch"), "click": 1, "convert": is_purchase.astype(int),
            "value": rows.value, "impression": -1,
        }
    )  # fmt: skip
    whole = pd.concat(
        [part for part in (seen, bought, bought_again, touched) if len(part)] or [seen], ignore_index=True
    )
    whole["tie"] = [_tie(u, i) for u, i in zip(whole.user_id, whole.item_id, strict=True)]
    whole = whole.sort_values(
        ["user_id", "known_at", "ts", "tie", "item_id"], kind="stable", ignore_index=True
    )
    return whole.drop(columns="tie")


KIND_COLUMNS = ["item_id", "kind", "impression", "value"]  # what log_kind reads of the lines


def log_kind(lines_: pd.DataFrame, tasks: Mapping[str, Task]) -> str:
    """What the history of this log is: one of LOG_KINDS."""
    if "click" in tasks:
        return "shown"
    with_item = lines_[lines_.item_id != ""]
    if len(with_item):
        if (with_item.kind == "purchase").all():
            return "bought"
        return "seen" if ((with_item.impression >= 0) & with_item.value.isna()).any() else "touched"
    return "purchases" if len(lines_) else "visits"


def _tie(user_id: str, item_id: str) -> int:
    """A stable shuffle of the lines that became known at one moment: item ids often carry an order of their own."""
    return zlib.crc32(f"{user_id}\t{item_id}".encode())


def points(examples_: pd.DataFrame, lines_: pd.DataFrame) -> np.ndarray:
    """(n,) how many of the user's lines had become known strictly before each example's time."""
    of_lines, of_examples = codes(lines_.user_id, examples_.user_id)
    return Sums(of_lines, lines_.known_at.to_numpy(), of_examples, examples_.ts.to_numpy()).counts.astype(
        np.int64
    )


def touches(lines_: pd.DataFrame, task: Task) -> np.ndarray:
    """(lines,) bool: which lines touch their item, as an item task's rule means it: seen at all, converted, or, for
    every other event, clicked or touched in any other way than by being shown."""
    event = task.label.get("event", "click")
    if event == "impression":
        chosen = (lines_.kind != "conversion").to_numpy()
    elif event == "convert":
        chosen = (lines_.convert == 1).to_numpy()
    else:
        chosen = (lines_.click == 1).to_numpy()
    return np.asarray(chosen & (lines_.item_id != "").to_numpy(), dtype=np.bool_)
