"""What an adapter serves on a small shop, behind a mock engine: no model is loaded, nothing trained."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from random_engine import RandomEngine

from genrec.dataset import Prepared, prepare
from genrec.sources import simulator
from genrec.tasks import Task, load_tasks
from prompts import pack
from prompts.adapter import AdapterCard, histories_of, layout_of
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer
from serve.predictor import Predictor
from serve.served import Catalog, Served

JOY = Task(
    "joy", "binary", question="{{ item.title }}{{ end }}joy:", answers=(" yes", " no"),
    label={"rule": "follows", "event": "click", "within": "5m"},
)  # fmt: skip
SILENT = "silent"  # in the table of users, and in no event


@cache
def data() -> Prepared:
    """40 users, 30 items, 20 days; its tasks are the shipped ones and JOY, of which no statistic is stated."""
    loaded = simulator.load(users=40, items=30, days=20, seed=0)
    return prepare(
        loaded, {**load_tasks([pack.TASKS], loaded.reading.tasks, loaded.reading.labels), "joy": JOY}
    )


def served(pack_name: str = "", calibration: Mapping[str, Any] | None = None, **changes: Any) -> Served:
    """Anew at each call. changes: of the data set."""
    return served_from(replace(data(), **changes), pack_name, calibration)


def served_from(of: Prepared, pack_name: str = "", calibration: Mapping[str, Any] | None = None) -> Served:
    """Any prepared data set behind a mock engine."""
    engine = RandomEngine(vocabulary=50_000)
    layout = layout_of(of, load_tokenizer(BUILT_IN), pack_name)
    card = AdapterCard(
        base={"name": BUILT_IN}, dtype="float32", pack=layout.pack.name, tasks=[], history={"tokens": 160},
        regime="running", data={"name": "shop"}, calibration=calibration or {},
    )  # fmt: skip
    histories = histories_of(of, layout, 160)
    layout.users = {**layout.users, SILENT: {"user_id": SILENT, "age": 30}}
    predictor = Predictor(layout, histories, engine, card.calibrations())
    return Served(card, of, layout, histories, engine, predictor, Catalog(layout))
