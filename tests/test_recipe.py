"""Recipes: every shipped one loads, and a wrong one is refused by field before any work."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training_fixtures import tiny_shop

from finetune.recipe import FOLDER, Recipe, load_recipe
from finetune.run import check_tasks, train
from genrec.cli import main
from genrec.dataset import Prepared
from genrec.errors import UserError


@pytest.fixture(scope="module")
def shop() -> Prepared:
    return tiny_shop(users=12, items=10, days=10)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_recipe_loads(path: Path) -> None:
    assert load_recipe(path.stem).name == path.stem


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("learning_rate: fast", "learning_rate"),
        ("lora: {rnk: 8}", "lora.rnk"),
        ("lora: {last_layers: 0}", "lora.last_layers"),
        ("weighting: learnt", "weighting"),
        ("shares: {next: 2}", "shares.next"),
        ("weights: {next: -1}", "weights.next"),
        ("a: [", "Cannot"),
    ],
)
def test_a_recipe_with_a_wrong_value_is_refused_by_field(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=field):
        load_recipe(str(tmp_path / "mine.yaml"))


def test_a_number_that_yaml_reads_as_text_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("learning_rate: 5e-4")
    assert load_recipe(str(tmp_path / "mine.yaml")).learning_rate == 5e-4


@pytest.mark.parametrize("changes", [{"steps": 0}, {"minutes": -5.0}, {"minutes": float("nan")}])
def test_a_budget_that_buys_nothing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(changes))):
        load_recipe("demo-cpu", changes)


def test_a_recipe_with_an_unknown_field_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("learning_rat: 1.0e-4\n")
    with pytest.raises(UserError, match="learning_rat"):
        load_recipe(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("given", "other"),
    [(["--replay", "run", "--steps", "5"], "--replay"), (["--minutes", "1", "--steps", "5"], "--minutes")],
)
def test_one_option_says_how_long_a_run_is(
    capsys: pytest.CaptureFixture[str], given: list[str], other: str
) -> None:
    assert main(["train", "data/shop", *given]) == 2
    assert f"--steps: not allowed with argument {other}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "length"), [(["--minutes", "10"], (None, 10.0)), (["--steps", "5"], (5, 3.0)), ([], (80, 3.0))]
)
def test_an_option_decides_the_length_whatever_the_recipe_says(
    shop: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: list[str],
    length: tuple[int | None, float],
) -> None:
    (tmp_path / "mine.yaml").write_text("{steps: 80, minutes: 3}")
    shop.save(tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    trained = list[Recipe]()

    def recorded(data: Prepared, recipe: Recipe, out: Path, *_: Any) -> Path:
        trained.append(recipe)
        return out

    monkeypatch.setattr("finetune.run.train", recorded)
    assert main(["train", "shop", "--recipe", "mine.yaml", *given]) == 0
    assert [(recipe.steps, recipe.minutes) for recipe in trained] == [length]


@pytest.mark.parametrize("field", ["weights", "shares"])
def test_a_misspelt_task_is_refused_before_any_work(shop: Prepared, tmp_path: Path, field: str) -> None:
    with pytest.raises(UserError, match="no task 'nxt'") as caught:
        train(shop, load_recipe("demo-cpu", {"base": "./nowhere", field: {"nxt": 0.5}}), tmp_path / "run")
    assert field in caught.value.where
    assert "click, convert, return, next" in caught.value.cure
    assert not (tmp_path / "run").exists()


def test_a_shipped_task_that_the_data_lacks_may_be_named(shop: Prepared) -> None:
    part = replace(shop, tasks={"click": shop.tasks["click"]})
    check_tasks(Recipe(shares={"next": 0.02}), part)
    with pytest.raises(UserError, match="its tasks are: click"):
        check_tasks(Recipe(shares={"nxt": 0.02}), part)
