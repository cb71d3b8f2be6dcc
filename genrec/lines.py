"""History lines: what was shown, clicked and bought, in the order in which it became known."""

import zlib

import numpy as np
import pandas as pd

from genrec.labels import known_together
from genrec.tasks import Task


def lines(frame: pd.DataFrame, shown: pd.DataFrame) -> pd.DataFrame:
    """The history as it became known, in the order in which it did: what a prompt's lines are written from.

    An impression's line appears when its click label matured, with its convert outcome if that was known by then; a
    conversion whose label matures later has a line of its own, once it has: were it there as soon as she bought, a
    click without one would look like a no before its time. Without impressions, conversions are lines.
    """
    inline = known_together(shown)
    seen = pd.DataFrame(
        {
            "user_id": shown.user_id, "item_id": shown.item_id, "ts": shown.ts, "known_at": shown.click_known_at,
            "kind": "impression", "click": shown.click, "convert": shown.convert.where(inline | (shown.click == 0), -1),
            "value": shown.value, "impression": shown.position_in_log,
        }
    )  # fmt: skip
    late = shown[(shown.convert == 1) & ~inline]
    bought = late if len(shown) else frame[frame.event == "convert"].assign(convert_ts=lambda f: f.ts)
    known = bought.convert_known_at if len(shown) else bought.ts
    own = pd.DataFrame(
        {
            "user_id": bought.user_id, "item_id": bought.item_id, "ts": bought.convert_ts, "known_at": known,
            "kind": "conversion" if len(shown) else "purchase", "click": 1, "convert": 1, "value": bought.value,
            "impression": bought.position_in_log if len(shown) else -1,
        }
    )  # fmt: skip
    whole = pd.concat([part for part in (seen, own) if len(part)] or [seen], ignore_index=True)
    whole["tie"] = [_tie(u, i) for u, i in zip(whole.user_id, whole.item_id, strict=True)]
    whole = whole.sort_values(
        ["user_id", "known_at", "ts", "tie", "item_id"], kind="stable", ignore_index=True
    )
    return whole.drop(columns="tie")


def _tie(user_id: str, item_id: str) -> int:
    """A stable shuffle of the lines that became known at one moment: item ids often carry an order of their own."""
    return zlib.crc32(f"{user_id}\t{item_id}".encode())


def points(examples_: pd.DataFrame, lines_: pd.DataFrame) -> np.ndarray:
    """(n,) how many of the user's lines had become known strictly before each example's time."""
    known = {user: part.to_numpy() for user, part in lines_.groupby("user_id", sort=False).known_at}
    empty = np.array([], dtype=np.int64)
    return np.array(
        [
            np.searchsorted(known.get(u, empty), ts, side="left")
            for u, ts in zip(examples_.user_id, examples_.ts, strict=True)
        ],
        dtype=np.int64,
    )


def touches(lines_: pd.DataFrame, task: Task) -> np.ndarray:
    """(lines,) bool: which lines touch their item, as an item task's rule means it: shown, clicked or converted."""
    event = task.label.get("event", "click")
    if event == "impression":
        chosen = (lines_.kind == "impression").to_numpy()
    elif event == "convert":
        chosen = (lines_.convert == 1).to_numpy()
    else:
        chosen = (lines_.click == 1).to_numpy()
    return np.asarray(chosen & (lines_.item_id != "").to_numpy(), dtype=np.bool_)
