"""Our model as eval asks it, behind the mock engine: what its lists leave out, and what its answers are made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from no_future_contract import shop, with_other_statistics
from our_model import ours
from random_engine import RandomEngine

from eval.ours import Genrec
from eval.store import Store
from genrec.dataset import REGIMES, Prepared
from genrec.touches import Touches
from prompts.adapter import histories_of, layout_of
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer
from prompts.layout import Known


def some(task: str, n: int) -> np.ndarray:
    rows = shop().rows(task, "test")
    return rows[np.linspace(0, len(rows) - 1, n).astype(np.int64)]


@pytest.mark.parametrize("regime", REGIMES)
def test_lists_hold_unseen_items_of_the_catalog_and_all_that_are_left(regime: str) -> None:
    model, rows = ours(shop()), some("next", 5)
    model.fit(shop(), regime)
    catalog, past = set(shop().tables.items["item_id"].to_pylist()), Touches(shop(), shop().tasks["next"])
    seen_any = False
    for row, items in zip(rows, model.rank(shop(), rows, len(catalog)), strict=True):
        asked = shop().examples.loc[row]
        known = shop().lines[shop().lines.user_id == asked.user_id].iloc[: asked.point]
        seen = set(known.item_id[known.click == 1])
        assert seen == set(past.items(asked.user_id, asked.point))
        assert set(items or ()) == catalog - seen
        seen_any = seen_any or bool(seen)
    assert seen_any


@pytest.mark.parametrize("task", ["click", "convert", "return", "next"])
def test_questions_stand_behind_what_was_known_before_them(task: str) -> None:
    """No line of the history became known at the question's own moment or later: no answer stands in it."""
    model, rows = ours(shop()), some(task, 5)
    model.fit(shop(), "running")
    asked, wanted = shop().examples.iloc[rows], set()
    for row, user, ts in zip(rows, asked.user_id, asked.ts, strict=True):
        known = int(((shop().lines.user_id == user) & (shop().lines.known_at < ts)).sum())
        ids = model.histories.context(user, known).tolist()
        if task == "next":
            stats = shop().stats["running"].iloc[row].to_dict()
            ids += model.layout.question("next", known=Known(stats)).ids
        wanted.add(tuple(ids))
    _ = model.rank(shop(), rows, 3) if task == "next" else model.predict(shop(), rows)
    assert isinstance(model.engine, RandomEngine)
    assert {request.context for call in model.engine.calls for request in call} == wanted


def test_what_is_remembered_of_one_regime_is_no_answer_of_another() -> None:
    model, fresh, rows = ours(shop()), ours(shop()), some("click", 12)
    model.fit(shop(), "running")
    running = model.predict(shop(), rows)
    for made in (model, fresh):
        made.fit(shop(), "frozen")
    assert model.predict(shop(), rows).tolist() == fresh.predict(shop(), rows).tolist() != running.tolist()


def test_kept_answers_of_one_regime_are_no_answers_of_another(tmp_path: Path) -> None:
    model, store, rows = ours(shop()), Store(tmp_path), some("click", 12)
    found = []
    for regime in REGIMES:
        model.fit(shop(), regime)
        found.append(store.answers(model, shop(), "click", regime, rows).p.tolist())
    assert found[0] != found[1]


def without_statistics(data: Prepared) -> Genrec:
    layout = layout_of(data, load_tokenizer(BUILT_IN))
    engine = RandomEngine(vocabulary=49_152)
    return Genrec("plain", layout, histories_of(data, layout, 120), engine, "", with_stats=False)


@pytest.mark.parametrize("task", ["click", "return", "next"])
def test_without_statistics_no_statistic_changes_an_answer(task: str) -> None:
    rows, found = some(task, 4), []
    for data in (shop(), with_other_statistics("running")):
        for stats in (data.stats, {**data.stats, "running": data.stats["running"].assign(candidates="")}):
            changed = replace(data, stats=stats)
            model = without_statistics(changed)
            asked = model.rank(changed, rows, 3) if task == "next" else model.predict(changed, rows)
            found.append(repr(list(asked)))
    assert len(set(found)) == 1
