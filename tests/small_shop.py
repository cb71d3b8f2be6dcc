"""A small simulated shop for the tests of eval: every task, windows of a week, a test long enough for them to close."""

from dataclasses import replace
from functools import cache

from genrec.dataset import Prepared, prepare
from genrec.sources import simulator
from genrec.tasks import load_tasks
from prompts import pack

LONG_TEST = {"by": "time", "fractions": [0.4, 0.2, 0.4]}


@cache
def shop() -> Prepared:
    """60 users, 40 items, 40 days; made once, so leave it as it is."""
    loaded = simulator.load(users=60, items=40, days=40)
    loaded = loaded._replace(reading=replace(loaded.reading, split=LONG_TEST))
    return prepare(loaded, load_tasks([pack.TASKS], loaded.reading.tasks, loaded.reading.labels))
