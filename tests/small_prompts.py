"""A small catalog, two users and a history, for tests of prompts; the real tokenizer."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from genrec.statistics import COLUMNS
from genrec.statistics.co_occurrence import SEPARATOR
from genrec.tasks import Task, load_task
from prompts.language_model import load_tokenizer
from prompts.layout import Known, Layout
from prompts.pack import FOLDER, TASKS, load_pack
from prompts.tokens import Tokens

PACKS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
SHIPPED = {task.name: task for task in map(load_task, sorted(TASKS.glob("*.yaml")))}
ITEMS: dict[str, dict[str, Any]] = {
    "1": {"item_id": "1", "title": "Toy Story", "year": 1995},
    "2": {"item_id": "2", "title": "Fargo", "year": 1996},
    "3": {"item_id": "3", "title": "Crème brûlée 龙猫", "year": None},
}
USERS: dict[str, dict[str, Any]] = {
    "u": {"user_id": "u", "age": 24, "gender": "male", "occupation": "technician", "city": "Lyon"},
    "v": {"user_id": "v", "age": None, "gender": None},
}
STATS = {**dict.fromkeys(COLUMNS, 0.25), "item_share": 0.756, "match_share": 0.941}
VISITS = {
    "sessions": 3.0, "recent_sessions": 2.0, "session_events": 12.0, "session_minutes": 25.5, "days_since_first": 40.25,
    "days_since_last": 0.04, "gap_days_mean": 13.4, "return_count": 1.0, "return_chances": 2.0, "mean_value": 3.5,
    "return_share": 0.4,
}  # fmt: skip
CANDIDATES = {"candidates": SEPARATOR.join(["2", "3"])}
KNOWN = {
    "cold": Known(horizon_days=7.0),
    "warm": Known({**STATS, **VISITS, **CANDIDATES}, horizon_days=7.0),
    "cut-off": Known({**STATS, **VISITS}, horizon_days=181.0, gap_days=92.0),
}


@cache
def tokens() -> Tokens:
    return Tokens(load_tokenizer("smollm2-135m"))


def layout(
    pack: str = "films-en",
    items: Mapping[str, Mapping[str, Any]] = ITEMS,
    users: Mapping[str, Mapping[str, Any]] = USERS,
    tasks: Mapping[str, Task] = SHIPPED,
    log: str = "shown",
) -> Layout:
    return Layout(tokens(), load_pack(pack), tasks, items, users, log)


def line(item_id: str, click: int, convert: int, kind: str = "impression", **more: Any) -> dict[str, Any]:
    """A row of Prepared.lines."""
    return {
        "user_id": "u", "item_id": item_id, "ts": 0, "known_at": 0, "kind": kind, "click": click, "convert": convert,
        "value": 4.0, **STATS, **more,
    }  # fmt: skip


HISTORY = [line("1", 1, 1), line("2", 0, 0), line("3", 1, -1), line("3", 1, 1, "conversion"), line("2", 1, 0)]
