"""Which click goes with which impression, and which conversion with which click: the latest one before it."""

import numpy as np
import pandas as pd


def attributed(frame: pd.DataFrame, event: str, targets: pd.DataFrame, at: str, within: int) -> np.ndarray:
    """(len(targets),) the time of the first `event` credited to each target row, else -1."""
    times = np.full(len(targets), -1, dtype=np.int64)
    credited_ = credited(frame, event, targets, at, within)
    first = credited_.groupby(credited_.row.astype(int)).event_ts.min()
    times[first.index.to_numpy()] = first.to_numpy()
    return times


def credited(
    frame: pd.DataFrame, event: str, targets: pd.DataFrame, at: str, within: int, direction: str = "backward"
) -> pd.DataFrame:
    """Of each credited `event` its place (index in frame), event_ts, and target row.

    That is the latest target of the same user and item that is at most `within` before it (last touch wins); with the
    direction "forward" the next one after it.
    """
    happened = frame.loc[frame.event == event, ["user_id", "item_id", "ts"]].rename(
        columns={"ts": "event_ts"}
    )
    if happened.empty or targets.empty:
        return pd.DataFrame({"place": [], "event_ts": [], "row": []}, dtype=np.int64)
    left = happened.assign(place=happened.index).sort_values("event_ts", kind="stable")
    right = targets[["user_id", "item_id", at]].assign(row=np.arange(len(targets)))
    return pd.merge_asof(
        left,
        right.sort_values(at, kind="stable"),
        left_on="event_ts",
        right_on=at,
        by=["user_id", "item_id"],
        tolerance=within,
        direction=direction,
    ).dropna(subset=["row"])


def uncredited(frame: pd.DataFrame, event: str, targets: pd.DataFrame, at: str, within: int) -> pd.DataFrame:
    """The rows of frame that are such an event and credited to no target."""
    places = credited(frame, event, targets, at, within).place
    return frame[(frame.event == event) & ~frame.index.isin(places)]
