"""Lessons: every level as common as any other, stated right before the answer that is drawn from it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_fixtures import save_tiny_model

from finetune.lessons import PARAPHRASED, Lessons
from finetune.mixture import Mixture, MixtureOptions, Prompt
from finetune.recipe import Recipe
from finetune.run import build_rows
from genrec.dataset import Prepared
from genrec.stated import stated
from prompts.adapter import histories_of, layout_of
from prompts.language_model import load_tokenizer
from prompts.templates import level

COUNT = 60


def mixture(shop: Prepared, seed: int = 0) -> Mixture:
    layout = layout_of(shop, load_tokenizer("smollm2-135m"))
    return Mixture(shop, layout, histories_of(shop, layout, 160), MixtureOptions(seed=seed))


def taught(shop: Prepared, seed: int = 0) -> list[list[Prompt]]:
    return list(Lessons(mixture(shop, seed)).windows(COUNT))


def test_a_lesson_states_the_share_right_before_the_answer_that_is_drawn_from_it(shop: Prepared) -> None:
    made = mixture(shop)
    found: dict[str, list[tuple[float, int]]] = {}
    paraphrased = list[bool]()
    for prompts in Lessons(made).windows(COUNT):
        for prompt in prompts:
            (read,) = prompt.reads
            task = made.tasks[read.task]
            assert read.position == len(prompt.ids) - 1
            said = made.layout.tokens.text(prompt.ids[-40:])
            asked, _, query = said.partition(" Question: ")
            assert asked.split()[-1] == level(read.stated)
            paraphrased.append(bool(query))
            assert not query or query.endswith(" Answer:")
            yes = made.layout.answers[task.name].index(read.target) == 0
            found.setdefault(task.name, []).append((read.stated, int(yes)))
    assert set(found) == {task.name for task in made.tasks if stated(task)} == {"click", "convert", "return"}
    assert np.mean(paraphrased) == pytest.approx(PARAPHRASED, abs=0.05)
    for answers in found.values():
        share, yes = np.array(answers).T
        assert abs(np.sum(yes - share)) < 4 * np.sqrt(np.sum(share * (1 - share)))


def test_every_level_of_the_log_is_as_common_as_any_other(shop: Prepared) -> None:
    made = mixture(shop)
    click = made.number["click"]
    reads = [p.reads[0] for prompts in Lessons(made).windows(COUNT) for p in prompts]
    letters = Counter(level(read.stated) for read in reads if read.task == click)
    inner = sorted(letters.values())[2:]  # the range cuts its two ends short
    assert min(inner) > 0.5 * np.mean(inner)
    said = shop.stats["running"].match_share.to_numpy()[shop.rows("click", "train")]
    assert {level(share) for share in said} <= set(letters)


def test_the_same_seed_gives_the_same_lessons(shop: Prepared) -> None:
    def ids(lessons: list[list[Prompt]]) -> list[list[int]]:
        return [p.ids.tolist() for prompts in lessons for p in prompts]

    assert ids(taught(shop)) == ids(taught(shop))
    assert ids(taught(shop)) != ids(taught(shop, seed=1))


def test_data_whose_tasks_state_no_share_has_no_lessons(shop: Prepared) -> None:
    assert list(Lessons(mixture(replace(shop, tasks={"next": shop.tasks["next"]}))).windows(3)) == []


def test_a_recipe_adds_them_to_the_training_rows_alone(shop: Prepared, tmp_path: Path) -> None:
    recipe = Recipe(base=str(save_tiny_model(tmp_path / "base")), history_tokens=160, valid_windows=5)
    plain = build_rows(mixture(shop), recipe, tmp_path / "plain")
    more = build_rows(mixture(shop), replace(recipe, lessons=0.5), tmp_path / "more")
    assert len(more.train) == len(plain.train) + round(0.5 * len(plain.train))
    assert len(more.valid) == len(plain.valid)
