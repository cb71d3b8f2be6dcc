"""Adding a task is adding a file: the rating itself, five answers, prepared, trained, scored, better than its prior."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval.answers import answer
from eval.ours import Genrec
from eval.training import labelled
from finetune.recipe import Lora, Recipe
from finetune.run import train
from genrec.dataset import Prepared, prepare
from genrec.reading import Loaded
from genrec.sources import load_source
from genrec.tables import Tables
from genrec.tasks import load_tasks
from prompts.pack import TASKS
from serve.adapters import open_adapter

RATING = """\
name: rating
kind: choice
question: "{{ item.title }}{{ end }}{{ shares }} stars "
answers: ["1", "2", "3", "4", "5"]
label: {rule: value, values: [1, 2, 3, 4, 5]}
metrics: [accuracy, log_loss]
"""


def some_users(loaded: Loaded, count: int) -> Loaded:
    """The same log with its first users only."""
    users = loaded.tables.users.slice(0, count)
    kept = set(users["user_id"].to_pylist())
    events = loaded.tables.events.filter([u in kept for u in loaded.tables.events["user_id"].to_pylist()])
    return loaded._replace(tables=Tables(events, loaded.tables.items, users))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    own = tmp_path_factory.mktemp("tasks")
    (own / "rating.yaml").write_text(RATING)
    loaded = some_users(load_source("movielens-100k"), 150)
    loaded = loaded._replace(reading=replace(loaded.reading, tasks=("click", "convert")))
    tasks = load_tasks([TASKS], loaded.reading.tasks, loaded.reading.labels, own=[own])
    return prepare(loaded, tasks)


@pytest.mark.slow
def test_a_fifth_task_learns_more_than_its_prior(data: Prepared, tmp_path: Path) -> None:
    recipe = Recipe(
        name="fifth", history_tokens=256, steps=50, rows_per_step=3, warmup_steps=5, learning_rate=2e-3,
        lora=Lora(last_layers=8), weights={"click": 0.1, "convert": 0.1},
        evaluate_every=1000, valid_windows=1, save_every=1000, stats_dropout=0.0, paraphrase_share=0.0,
    )  # fmt: skip
    adapter = train(data, recipe, tmp_path / "run")
    served = open_adapter(adapter, data)
    rows = data.rows("rating", "test")[::8]
    labels = data.examples.label.to_numpy()[rows]
    found = answer(
        Genrec("genrec", served.layout, served.histories, served.engine, "test"), data, "rating", rows
    )
    p = np.array(found.p.tolist())
    assert p.shape == (len(rows), 5)
    np.testing.assert_allclose(p.sum(1), 1.0, atol=1e-6)
    shares = np.bincount(labelled(data, "rating", "train").labels, minlength=5) / len(
        data.rows("rating", "train")
    )
    prior_loss = float(-np.log(shares[labels]).mean())
    loss = float(-np.log(p[np.arange(len(rows)), labels]).mean())
    assert loss < prior_loss - 0.02
