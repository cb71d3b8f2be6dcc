"""Every baseline keeps the contract: sees nothing later than its question, answers alike twice, says NaN honestly."""

import json
from dataclasses import fields, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import logit
from small_shop import shop

from eval.baselines import gbdt
from eval.baselines.bg_nbd import BgNbd
from eval.baselines.gbdt import Gbdt
from eval.baselines.itemknn import ItemKnn, Setting
from eval.baselines.logistic import Logistic
from eval.baselines.means import Means
from eval.baselines.popularity import Popularity
from eval.baselines.prior import Prior
from eval.baselines.two_tower import ARTICLE, TowerSetting, TwoTower
from eval.lineup import lineup
from eval.protocols import resplit
from eval.recommender import Ranker, Recommender, Scorer, chosen_settings
from eval.training import labelled, learnable_lines, scored_tasks
from genrec import metrics
from genrec.chain import CTCVR
from genrec.dataset import Prepared
from genrec.tables import Tables
from genrec.touches import Touches


def later_scrambled(data: Prepared, task: str) -> Prepared:
    """The same questions with another future: from the task's first test question on all is shuffled or gone."""
    examples = data.examples.copy()
    test = (examples.split == "test").to_numpy()
    examples.loc[test, "label"] = np.where(examples.label[test] >= 0, 1 - examples.label[test], -1)
    boundary = int(examples.ts[data.rows(task, "test")].min())
    lines = data.lines.copy()
    later = (lines.known_at >= boundary).to_numpy()
    for column in ("item_id", "click", "convert", "value"):
        lines.loc[later, column] = lines.loc[later, column].to_numpy()[::-1]
    events = data.tables.events.to_pandas()
    ts = data.tables.events["ts"].cast(pa.int64()).to_numpy()
    events = events[ts < boundary]
    table = pa.Table.from_pandas(events, schema=data.tables.events.schema, preserve_index=False)
    return replace(
        data, examples=examples, lines=lines, tables=Tables(table, data.tables.items, data.tables.users)
    )


def first_of_test(data: Prepared, task: str) -> np.ndarray:
    """Test questions asked before anything of the test's future had become known."""
    rows = data.rows(task, "test")
    ts = data.examples.ts.to_numpy()[rows]
    first: np.ndarray = rows[ts == ts.min()]
    return first


class Contract:
    """Every recommender's own: name, answers nothing but what it may, twice the same."""

    tasks: ClassVar[tuple[str, ...]] = ("click", "convert", "return")
    unscored: ClassVar[tuple[str, ...]] = ()  # tasks that it says NaN to

    def make(self) -> Recommender:
        raise NotImplementedError

    def fitted(self, data: Prepared, regime: str = "running") -> Recommender:
        recommender = self.make()
        recommender.fit(data, regime)
        return recommender

    def test_has_a_name(self) -> None:
        assert self.make().name


class ScorerContract(Contract):
    def predict(self, data: Prepared, rows: np.ndarray, regime: str = "running") -> np.ndarray:
        scorer = self.fitted(data, regime)
        assert isinstance(scorer, Scorer)
        return scorer.predict(data, rows)

    @pytest.mark.parametrize("regime", ["running", "frozen"])
    def test_gives_probabilities(self, regime: str) -> None:
        data = shop()
        for task in self.tasks:
            rows = data.rows(task, "test")
            p = self.predict(data, rows, regime)
            assert p.shape == (len(rows),)
            assert p.dtype == np.float64
            assert not np.isnan(p).any()
            assert ((p >= 0) & (p <= 1)).all()

    def test_says_nan_to_what_it_cannot_score(self) -> None:
        for task in self.unscored:
            assert np.isnan(self.predict(shop(), shop().rows(task, "test"))).all()

    def test_takes_no_rows_and_rows_of_one_task_only(self) -> None:
        scorer = self.fitted(shop())
        assert isinstance(scorer, Scorer)
        with pytest.raises(ValueError, match="one task"):
            scorer.predict(
                shop(), np.concatenate([shop().rows(task, "test")[:1] for task in ("click", "return")])
            )

    def test_answers_alike_twice(self) -> None:
        for task in self.tasks:
            rows = shop().rows(task, "test")
            assert self.predict(shop(), rows).tolist() == self.predict(shop(), rows).tolist()

    def test_does_not_depend_on_the_order_of_rows(self) -> None:
        scorer = self.fitted(shop())
        assert isinstance(scorer, Scorer)
        for task in self.tasks:
            rows = shop().rows(task, "test")
            np.testing.assert_allclose(
                scorer.predict(shop(), rows)[::-1], scorer.predict(shop(), rows[::-1]), atol=1e-12
            )

    def test_sees_no_future_and_no_test_label(self) -> None:
        data = shop()
        for task in self.tasks:
            rows, other = first_of_test(data, task), later_scrambled(data, task)
            assert self.predict(data, rows).tolist() == self.predict(other, rows).tolist()


class TestPrior(ScorerContract):
    def make(self) -> Recommender:
        return Prior()


class TestUserMean(ScorerContract):
    def make(self) -> Recommender:
        return Means("user")


class TestItemMean(ScorerContract):
    tasks = ("click", "convert")
    unscored = ("return",)

    def make(self) -> Recommender:
        return Means("item")


class TestBothMeans(ScorerContract):
    tasks = ("click", "convert")
    unscored = ("return",)

    def make(self) -> Recommender:
        return Means("both")


class TabularContract(ScorerContract):
    @pytest.mark.parametrize("regime", ["running", "frozen"])
    def test_reads_the_recent_history_in_each_regime(self, regime: str) -> None:
        """The same fitted model, the same statistics, another outcome of each earlier line: another answer."""
        data = shop()
        rows = data.rows("click", "test")[-20:]
        scorer = self.fitted(data, regime)
        assert isinstance(scorer, Scorer)
        other = replace(data, lines=data.lines.assign(click=1 - data.lines.click))
        assert np.abs(scorer.predict(data, rows) - scorer.predict(other, rows)).max() > 1e-4


class TestLogistic(TabularContract):
    def make(self) -> Recommender:
        return Logistic()


class TestGbdt(TabularContract):
    def make(self) -> Recommender:
        return Gbdt(configurations=1)


class TestGbdtWithInitScore(TabularContract):
    def make(self) -> Recommender:
        return Gbdt(configurations=1, from_stated=True)

    def test_begins_at_the_stated_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After one small tree the answer is still nearly the stated number, which is far from the share of yes."""
        monkeypatch.setattr(gbdt, "ROUNDS", 1)
        data = shop()
        known = np.where(data.examples.label == 1, 0.999, 0.001)
        stats = {**data.stats, "running": data.stats["running"].assign(match_share=known)}
        rows = data.rows("click", "test")
        p = self.predict(replace(data, stats=stats), rows)
        assert np.abs(logit(p) - logit(known[rows])).max() < 0.5

    def test_a_task_of_which_nothing_is_stated_is_not_scored(self) -> None:
        data = shop()
        own = replace(data.tasks["click"], name="own")
        examples = data.examples.assign(task=data.examples.task.replace("click", "own"))
        other = replace(data, tasks={"own": own}, examples=examples)
        assert np.isnan(self.predict(other, other.rows("own", "test"))).all()


class TestTwoTower(ScorerContract):
    tasks = ("click", "convert")
    unscored = ("return",)

    def make(self) -> Recommender:
        return TwoTower([TowerSetting()], epochs=2)

    def test_strangers_share_an_answer(self) -> None:
        data = shop()
        rows = data.rows("click", "test")[:2]
        examples = data.examples.copy()
        examples.loc[rows, "user_id"], examples.loc[rows, "item_id"] = ["stranger", "other"], ["new", "newer"]
        scorer = self.fitted(data)
        assert isinstance(scorer, Scorer)
        first, second = scorer.predict(replace(data, examples=examples), rows)
        assert first == second

    def test_keeps_the_setting_and_the_epoch_that_valid_prefers(self) -> None:
        data = shop()
        towers = TwoTower([TowerSetting(learning_rate=1.0), TowerSetting(), ARTICLE], epochs=4)
        towers.fit(data, "running")
        chosen, loss = min(towers.tried, key=lambda pair: pair[1])
        assert towers.chosen == chosen
        losses = []
        for task in ("click", "convert"):
            valid = labelled(data, task, "valid")
            losses.append(
                metrics.log_loss(valid.labels, towers.predict(data, valid.rows), weights=valid.weights)
            )
        assert sum(losses) == pytest.approx(loss, abs=1e-5)


class TestBgNbd(ScorerContract):
    tasks = ("return",)
    unscored = ("click",)

    def make(self) -> Recommender:
        return BgNbd()


class RankerContract(Contract):
    def ranked(self, data: Prepared, rows: np.ndarray, regime: str = "running") -> list[list[str]]:
        ranker = self.fitted(data, regime)
        assert isinstance(ranker, Ranker)
        return [list(items or []) for items in ranker.rank(data, rows, 10)]

    @pytest.mark.parametrize("regime", ["running", "frozen"])
    def test_lists_unseen_items_of_the_catalog(self, regime: str) -> None:
        data = shop()
        rows, catalog = data.rows("next", "test"), set(data.tables.items["item_id"].to_pylist())
        past = Touches(data, data.tasks["next"])
        for row, items in zip(rows, self.ranked(data, rows, regime), strict=True):
            user, point = data.examples.user_id[row], data.examples.point[row]
            assert len(items) == len(set(items)) <= 10
            assert set(items) <= catalog - set(past.items(user, point))

    def test_answers_alike_twice(self) -> None:
        rows = shop().rows("next", "test")
        assert self.ranked(shop(), rows) == self.ranked(shop(), rows)

    def test_sees_no_future(self) -> None:
        data, other = shop(), later_scrambled(shop(), "next")
        rows = first_of_test(data, "next")
        assert self.ranked(data, rows) == self.ranked(other, rows)


class TestPopularity(RankerContract):
    def make(self) -> Recommender:
        return Popularity()

    def test_counts_what_was_known_before_the_question(self) -> None:
        data = shop()
        row = data.rows("next", "test")[-1]
        asked = data.examples.loc[row]
        clicks = data.lines[(data.lines.click == 1) & (data.lines.kind == "impression")]
        own = data.lines[data.lines.user_id == asked.user_id].iloc[: asked.point]
        seen = set(own.item_id[own.click == 1])
        counts = clicks[clicks.known_at < asked.ts].item_id.value_counts()
        converted = data.lines[(data.lines.kind == "conversion") & (data.lines.known_at < asked.ts)]
        counts = counts.add(converted.item_id.value_counts(), fill_value=0)
        listed = self.ranked(data, np.array([row]))[0]
        values = [counts.get(item, 0) for item in listed]
        assert values == sorted(values, reverse=True)
        assert counts.drop(list(seen | set(listed)), errors="ignore").max() <= values[-1]


class TestItemKnn(RankerContract):
    def make(self) -> Recommender:
        return ItemKnn([Setting(neighbours=3, recent=3), Setting(neighbours=10)])

    def test_keeps_the_setting_that_valid_prefers(self) -> None:
        knn = self.fitted(shop())
        assert isinstance(knn, ItemKnn)
        assert knn.chosen["next"] == max(knn.tried["next"], key=lambda pair: pair[1])[0]

    def test_each_item_task_is_answered_from_its_own_log(self) -> None:
        alone = shop()
        bought = replace(
            alone.tasks["next"], name="next_bought", label={"rule": "next_item", "event": "convert"}
        )
        both = replace(alone, tasks={**alone.tasks, "next_bought": bought})
        rows = alone.rows("next", "test")
        assert self.ranked(both, rows) == self.ranked(alone, rows)


def test_test_labels_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="not on 'test'"):
        labelled(shop(), "click", "test")


@pytest.mark.parametrize("task", ["click", "convert", "ctcvr", "return", "next"])
def test_every_task_has_baselines_that_answer_its_kind(task: str) -> None:
    made = [make() for make in lineup(shop(), task)]
    assert len({recommender.name for recommender in made}) == len(made) >= 2
    assert all(isinstance(recommender, Ranker if task == "next" else Scorer) for recommender in made)


def test_trees_beat_the_prior_where_there_is_something_to_learn() -> None:
    data = shop()
    rows = data.rows("click", "test")
    labels = data.examples.label.iloc[rows]
    trees, prior = Gbdt(configurations=1), Prior()
    for model in (trees, prior):
        model.fit(data, "running")
    assert metrics.log_loss(labels, trees.predict(data, rows)) < metrics.log_loss(
        labels, prior.predict(data, rows)
    )


def test_scored_tasks_have_both_answers() -> None:
    assert scored_tasks(shop()) == ["click", "convert", "return"]


@pytest.mark.parametrize("preset", ["leave-last-out", "five-fold"])
def test_no_answer_of_valid_or_test_is_among_the_lines_a_baseline_fits_on(preset: str) -> None:
    data = resplit(shop(), preset)
    fitted = data.lines[learnable_lines(data)]
    held = data.examples[data.examples.split.isin(("valid", "test"))]
    assert len(fitted) > 0
    if preset == "five-fold":
        assert not set(fitted.user_id) & set(held.user_id)
    else:
        asked = set(zip(held.user_id, held.item_id, strict=True)) - {("", "")}
        assert not set(zip(fitted.user_id, fitted.item_id, strict=True)) & {a for a in asked if a[1]}


def test_what_a_search_chose_is_told_as_plain_values() -> None:
    data = shop()
    for searched, task, names in (
        (Logistic(), "click", {"columns", "strength", "valid_log_loss"}),
        (TwoTower((ARTICLE,), epochs=1), "click", {f.name for f in fields(TowerSetting)}),
        (ItemKnn((Setting(),)), "next", {f.name for f in fields(Setting)}),
    ):
        searched.fit(data, "running")
        settings = chosen_settings(searched, task)
        assert set(settings) == names
        assert json.loads(json.dumps(settings)) == settings
        if isinstance(searched, Logistic):
            steps = chosen_settings(searched, CTCVR)
            assert list(steps) == ["click", "convert"]
            assert steps["click"] == settings
    assert chosen_settings(Means("both"), "click") is None
