"""What a training run reads: examples of its own split, statistics of its own regime, nothing of a test answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_fixtures import SMALL, tiny_shop

from finetune import run
from finetune.lessons import Lessons
from finetune.mixture import Mixture, MixtureOptions, shares_by_rank
from finetune.recipe import Recipe
from finetune.trainer import SharedContextTrainer
from genrec.dataset import REGIMES, Prepared
from genrec.statistics import COLUMNS
from prompts.adapter import AdapterCard, histories_of, layout_of
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer
from prompts.layout import Known

OPTIONS = MixtureOptions(stats_dropout=0.0, paraphrase_share=0.5, reread=True, lean=True)


@pytest.fixture(scope="module")
def data() -> Prepared:
    return tiny_shop(users=20, items=20, days=20, train=0.6)


def mixture(data: Prepared) -> Mixture:
    layout = layout_of(data, load_tokenizer(BUILT_IN))
    return Mixture(data, layout, histories_of(data, layout, 120), OPTIONS)


def read(made: Mixture, split: str) -> list[tuple[Any, ...]]:
    """Every prompt of a split: its tokens, and of each place that is read the target, weight and expected share."""
    prompts = [prompt for window in made.windows(split) for prompt in window]
    return [
        (
            prompt.ids.tolist(),
            *(repr((r.position, r.task, r.target, r.weight, float(r.stated))) for r in prompt.reads),
        )
        for prompt in prompts
    ]


def with_other_answers(data: Prepared, splits: tuple[str, ...]) -> Prepared:
    """Every question of these splits has another answer, and another item where the answer is one."""
    examples, items = data.examples.copy(), data.tables.items["item_id"].to_pylist()
    chosen = examples.split.isin(splits).to_numpy()
    examples.loc[chosen, "label"] = np.where(examples.label[chosen] >= 0, 1 - examples.label[chosen], -1)
    lists = chosen & (examples.task == "next").to_numpy()
    other = {item: items[n - 1] for n, item in enumerate(items)}
    examples.loc[lists, "item_id"] = examples.item_id[lists].map(other)
    return replace(data, examples=examples)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_the_answers_of_other_splits_change_no_prompt(data: Prepared, split: str) -> None:
    others = tuple({"train", "valid", "test", "censored"} - {split})
    changed, own = with_other_answers(data, others), with_other_answers(data, (split,))
    assert read(mixture(changed), split) == read(mixture(data), split)
    assert read(mixture(own), split) != read(mixture(data), split)


def test_each_example_of_the_split_is_read_and_none_of_another(data: Prepared) -> None:
    asked = data.examples[data.examples.split == "train"]
    plain = replace(OPTIONS, paraphrase_share=0.0, reread=False, lean=False)
    layout = layout_of(data, load_tokenizer(BUILT_IN))
    made = Mixture(data, layout, histories_of(data, layout, 120), plain)
    counted = np.bincount([prompt.reads[0].task for window in made.windows("train") for prompt in window])
    assert counted.tolist() == [int((asked.task == task.name).sum()) for task in made.tasks]


def test_lessons_and_shares_by_rank_come_of_the_training_split(data: Prepared) -> None:
    changed = with_other_answers(data, ("valid", "test", "censored"))
    stats = {name: frame.copy() for name, frame in data.stats.items()}
    later = (data.examples.split != "train").to_numpy()
    for frame in stats.values():
        frame.loc[later, list(COLUMNS)] = 0.9999
    changed = replace(changed, stats=stats)
    assert Lessons(mixture(changed)).range == Lessons(mixture(data)).range
    hits = shares_by_rank(data, "next", "running")
    assert shares_by_rank(changed, "next", "running").tolist() == hits.tolist()
    rows = data.rows("next", "train")
    lists, answers = data.stats["running"].candidates.iloc[rows], data.examples.item_id.iloc[rows]
    first = sum(text.split("\x1f")[0] == item for text, item in zip(lists, answers, strict=True))
    held = sum(item in text.split("\x1f") for text, item in zip(lists, answers, strict=True))
    assert hits[0] == pytest.approx((first + 1) / (held + len(hits)))


def texts(made: Mixture) -> list[str]:
    return [made.layout.tokens.text(prompt.ids) for window in made.windows("train") for prompt in window]


def with_options(data: Prepared, **options: Any) -> Mixture:
    layout = layout_of(data, load_tokenizer(BUILT_IN))
    plain = replace(OPTIONS, paraphrase_share=0.0, reread=False, lean=False)
    return Mixture(data, layout, histories_of(data, layout, 120), replace(plain, **options))


def test_wordings_that_are_held_out_are_never_trained(data: Prepared) -> None:
    made = with_options(data, paraphrase_share=1.0)
    worded = {task.name: task for task in made.layout.tasks.values() if task.held_out}
    known = Known(horizon_days=7.0)
    whole = "\n".join(texts(made))
    for name, task in worded.items():
        assert any(made.layout.wording(name, wording, known) in whole for wording in task.paraphrases)
        assert not any(made.layout.wording(name, wording, known) in whole for wording in task.held_out)
    assert len(worded) >= 2


def test_the_answer_is_read_behind_the_whole_question_and_an_items_end_too(data: Prepared) -> None:
    made = with_options(data)
    end = made.layout.tokens.literal("\t")[0]
    for window in list(made.windows("train"))[:20]:
        for prompt in window:
            if made.tasks[prompt.reads[0].task].kind == "item":
                assert prompt.reads[-1].target == end
                inside = [(read.position + 1, read.target) for read in prompt.reads[:-1]]
                assert [int(prompt.ids[place]) for place, _ in inside] == [target for _, target in inside]
            assert prompt.reads[-1].position == len(prompt.ids) - 1


def test_a_share_of_windows_is_written_without_statistics(data: Prepared) -> None:
    every, some, none = (texts(with_options(data, stats_dropout=share)) for share in (0.0, 0.5, 1.0))
    assert len(every) == len(some) == len(none)
    dropped = [plain == without for plain, without in zip(some, none, strict=True)]
    assert 0.2 < np.mean(dropped) < 0.8
    assert not any(plain == without for plain, without in zip(every, none, strict=True) if "Visit" in plain)


def test_a_task_counts_in_the_loss_as_its_weight_says_and_the_card_names_the_regime(
    data: Prepared, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, base=str(base), regime="frozen", history_tokens=120, steps=1, valid_windows=2)
    light = dict.fromkeys(data.tasks, 0.25)
    heavy = {name: 2 * weight for name, weight in light.items()}
    found = {}
    for name, weights in (("light", light), ("heavy", heavy), ("click", {**light, "click": 1.25})):
        losses: list[float] = []
        compute = SharedContextTrainer.compute_loss

        def noted(
            self: Any, *args: Any, kept: list[float] = losses, compute: Any = compute, **more: Any
        ) -> Any:
            loss = compute(self, *args, **more)
            kept.append(float(loss.detach()))
            return loss

        with monkeypatch.context() as patch:
            patch.setattr(SharedContextTrainer, "compute_loss", noted)
            folder = run.train(data, replace(recipe, weights=weights), tmp_path / name)
        found[name] = sum(losses)
        assert AdapterCard.load(folder).regime == "frozen"
    assert found["heavy"] == pytest.approx(2 * found["light"], rel=1e-4)
    assert found["click"] - found["light"] == pytest.approx(
        np.log(2), rel=0.2
    )  # of one that knows nothing yet


class Stopped(Exception):
    pass


def trained_on(data: Prepared, recipe: Recipe, out: Path, patch: pytest.MonkeyPatch) -> list[list[int]]:
    """The tokens of every row that a run would train on."""
    kept: list[run.Rows] = []

    def stop(recipe: Recipe, made: Mixture, rows: run.Rows, *_: Any) -> None:
        kept.append(rows)
        raise Stopped

    patch.setattr(run, "build_trainer", stop)
    with pytest.raises(Stopped):
        run.train(data, recipe, out)
    return [*kept[0].train["input_ids"], *kept[0].valid["input_ids"]]


@pytest.mark.parametrize("regime", REGIMES)
def test_a_run_reads_the_statistics_of_its_recipes_regime_alone(
    data: Prepared, base: Path, tmp_path: Path, regime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, base=str(base), regime=regime, history_tokens=120, stats_dropout=0.0)
    rows = trained_on(data, recipe, tmp_path / "plain", monkeypatch)
    for name in REGIMES:
        stats, lines = data.stats[name].copy(), data.lines.copy()
        for column in COLUMNS:
            share = column.endswith("_share")
            stats[column] = stats[column].where(stats[column].isna(), 0.03 if share else 1.0)
            shown = column if name == "running" else f"frozen_{column}"
            lines[shown] = lines[shown].where(lines[shown].isna(), 0.03 if share else 1.0)
        stats["candidates"] = ""
        one, both = replace(data, stats={**data.stats, name: stats}), replace(data, lines=lines)
        for number, changed in enumerate((one, both)):
            found = trained_on(changed, recipe, tmp_path / f"{name}-{number}", monkeypatch)
            assert (found == rows) == (name != regime)
