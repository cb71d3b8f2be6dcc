"""What a person damages, misspells or asks in vain: an error with its place and cure, exit code 2, nothing written."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.special import logit
from training_fixtures import save_tiny_model, tiny_shop

from finetune.recipe import Recipe
from finetune.run import train
from genrec.cli import main
from genrec.dataset import FORMAT, Prepared, prepare
from genrec.reading import Loaded
from prompts.adapter import AdapterCard

RECIPE = """
dtype: float32
history_tokens: 120
rows_per_step: 1
epochs: 0.1
save_every: 1
evaluate_every: 9
valid_windows: 1
shares: {next: 0.2}
"""
ADAPTER, DATA = "runs/shop/adapter", "data/shop/prepared"
Capture = pytest.CaptureFixture[str]


def shop_of(*tasks: str) -> Prepared:
    """The shop as its source would be read for these tasks alone."""
    whole = tiny_shop(users=20, items=10, days=40, train=0.5)
    reading = replace(whole.reading, name="shop", tasks=tasks)
    return prepare(Loaded(whole.tables, reading, []), {name: whole.tasks[name] for name in tasks})


def workplace(root: Path, *tasks: str) -> Path:
    """A folder as a user has it: base/, mine.yaml, data/shop, runs/shop with a checkpoint and an adapter."""
    save_tiny_model(root / "base")
    (root / "mine.yaml").write_text(f"base: {root / 'base'}\n{RECIPE}")
    shop_of(*tasks).save(root / "data" / "shop")
    recipe = Recipe(
        name="mine", base=str(root / "base"), dtype="float32", history_tokens=120, rows_per_step=1, epochs=0.1,
        save_every=1, evaluate_every=9, valid_windows=1, shares={"next": 0.2},
    )  # fmt: skip
    train(Prepared.load(root / "data" / "shop"), recipe, root / "runs" / "shop")
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workplace(tmp_path_factory.mktemp("whole"), "click", "convert", "return", "next")


@pytest.fixture
def place(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to damage; the base model stays where it is."""
    copy = tmp_path / "place"
    shutil.copytree(whole, copy, ignore=shutil.ignore_patterns("base"))
    monkeypatch.chdir(copy)
    return copy


def refused(capsys: Capture, *command: str) -> str:
    """The error of a command line that must be refused without a trace on disk."""
    before = sorted((str(p), p.stat().st_mtime_ns) for p in Path().rglob("*"))
    capsys.readouterr()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "\n  where: " in error
    assert "\n  cure:  " in error
    assert sorted((str(p), p.stat().st_mtime_ns) for p in Path().rglob("*")) == before
    return error


def damage(path: Path, how: str) -> None:
    """how: "gone", "cut" in half, or what to write."""
    whole = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(whole[: len(whole) // 2] if how == "cut" else how.encode())


def without(path: Path, *fields: str) -> str:
    """A JSON file's text without a field, which may lie deep."""
    raw = json.loads(path.read_text())
    inner = raw
    for field in fields[:-1]:
        inner = inner[field]
    del inner[fields[-1]]
    return json.dumps(raw)


def test_the_place_is_sound(place: Path) -> None:
    assert main(["predict", "--user", "1", "--items", "1", "--adapter", ADAPTER]) == 0


# ---- damaged files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "how", "message"),
    [
        (f"{ADAPTER}/genrec.json", "cut", "genrec.json is damaged"),
        (f"{ADAPTER}/genrec.json", "[]", "it is [], not an object"),
        (f"{ADAPTER}/genrec.json", '{"format": 9}', "of another version"),
        (f"{ADAPTER}/adapter_model.safetensors", "cut", "adapter_model.safetensors is damaged"),
        (f"{ADAPTER}/adapter_model.safetensors", "", "adapter_model.safetensors is damaged"),
        (f"{ADAPTER}/adapter_model.safetensors", "gone", "no adapter_model.safetensors"),
        (f"{ADAPTER}/adapter_config.json", "cut", "adapter_config.json is damaged"),
        (f"{ADAPTER}/adapter_config.json", "{}", "peft_type is missing"),
        (f"{ADAPTER}/adapter_config.json", "gone", "no adapter_config.json"),
        (f"{DATA}/prepared.json", "cut", "prepared.json is damaged"),
        (f"{DATA}/prepared.json", f'{{"format": {FORMAT}}}', "train_end is missing"),
        (f"{DATA}/prepared.json", '{"format": 1}', "of another version"),
        (f"{DATA}/prepared.json", "gone", "No prepared data set"),
        (f"{DATA}/reading.yaml", "name: [", "reading.yaml is damaged"),
        (f"{DATA}/reading.yaml", "name: shop", "pack is missing"),
        (f"{DATA}/tasks.yaml", "gone", "tasks.yaml is damaged"),
        (f"{DATA}/tasks.yaml", "[1]", "[0] is 1, not an object"),
        (f"{DATA}/lines.parquet", "cut", "data set is damaged"),
        (f"{DATA}/examples.parquet", "gone", "data set is damaged"),
        (f"{DATA}/statistics_latest.npz", "cut", "data set is damaged"),
        (f"{DATA}/statistics_latest.npz", "", "data set is damaged"),
    ],
)  # fmt: skip
def test_a_damaged_adapter_or_data_set_is_refused(
    place: Path, capsys: Capture, file: str, how: str, message: str
) -> None:
    damage(place / file, how)
    assert message in refused(capsys, "predict", "--user", "1", "--items", "1", "--adapter", ADAPTER)


@pytest.mark.parametrize(
    "fields",
    [("dtype",), ("base", "name"), ("history", "tokens"), ("data", "prompts"), ("training", "recipe")],
)
def test_a_card_without_a_field_is_refused_by_its_name(
    place: Path, capsys: Capture, fields: tuple[str, ...]
) -> None:
    card = place / ADAPTER / "genrec.json"
    card.write_text(without(card, *fields))
    error = refused(capsys, "recommend", "--user", "1", "--adapter", ADAPTER)
    assert f"{'.'.join(fields)} is missing" in error


def test_a_calibration_that_is_none_is_refused(place: Path, capsys: Capture) -> None:
    card = place / ADAPTER / "genrec.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "calibration": {"click": {"slope": -1}}}))
    assert "slope > 0" in refused(capsys, "predict", "--user", "1", "--items", "1", "--adapter", ADAPTER)


@pytest.mark.parametrize(
    ("file", "how"), [("model.safetensors", "cut"), ("config.json", "cut"), ("tokenizer.json", "")]
)
def test_a_damaged_base_model_is_refused(
    whole: Path, place: Path, capsys: Capture, file: str, how: str
) -> None:
    shutil.copytree(whole / "base", place / "base")
    damage(place / "base" / file, how)
    (place / "mine.yaml").write_text(f"base: {place / 'base'}\n{RECIPE}")
    error = refused(capsys, "train", "data/shop", "--recipe", "mine.yaml", "--out", "runs/new")
    assert "Cannot load the model" in error
    assert "damaged" in error


@pytest.mark.parametrize(
    ("file", "how", "message"),
    [
        ("run.json", "cut", "run.json is damaged"),
        ("run.json", "[]", "run.json is damaged"),
        ("run.json", "{}", "a run with another attention"),
        ("steps.json", "cut", "steps.json is damaged"),
        ("steps.json", '{"steps": "many"}', "steps is 'many', not a whole number"),
    ],
)
def test_a_damaged_run_is_not_continued_and_can_be_started_anew(
    place: Path, capsys: Capture, file: str, how: str, message: str
) -> None:
    damage(place / "runs" / "shop" / file, how)
    command = ["train", "data/shop", "--recipe", "mine.yaml", "--out", "runs/shop"]
    error = refused(capsys, *command)
    assert message in error
    assert "--restart" in error


# ---- asked in vain ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["recommend", "--user", "1", "-k", "0"], "-k is 0"),
        (["recommend", "--user", "1", "--nodes", "-1"], "--nodes is -1"),
        (["recommend", "--user", "1", "--adapter", "runs/shop"], "Not an adapter"),
        (["predict", "--user", "1", "--items", ",", "--adapter", ADAPTER], "No items"),
        (["predict", "--user", "1", "--items", "1", "--adapter", ADAPTER, "--data", "data/nowhere"], "No prepared"),
        (["train", "data/nowhere"], "No prepared data set"),
        (["train", "data/shop", "--recipe", "no-such"], "No recipe 'no-such'"),
        (["eval", "--adapter", ADAPTER, "--data", "data/nowhere"], "No prepared data set"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(place: Path, capsys: Capture, command: list[str], message: str) -> None:
    assert message in refused(capsys, *command)


def test_labels_of_another_rule_than_those_trained_on_are_refused(place: Path, capsys: Capture) -> None:
    data = Prepared.load(place / "data" / "shop")
    back = data.tasks["return"]
    other = {**data.tasks, "return": replace(back, label={**back.label, "horizon": "9d"})}
    replace(data, tasks=other).save(place / "data" / "changed")
    told = refused(capsys, "predict", "--user", "1", "--adapter", ADAPTER, "--data", "data/changed")
    assert "prepared with another label rule of return" in told


def test_on_a_data_set_of_another_name_nothing_is_calibrated(place: Path, capsys: Capture) -> None:
    card = AdapterCard.load(place / ADAPTER)
    replace(card, calibration={"return": {"slope": 1.0, "intercept": 3.0}}).save(place / ADAPTER)
    shifted, plain = (said(capsys, place, name) for name in ("shop", "other"))
    assert "not calibrated: return" not in shifted
    assert "(trained on shop: not calibrated here)" in plain
    assert "not calibrated: return" in plain
    odds = [logit(float(told.partition("return: ")[2].split()[0])) for told in (shifted, plain)]
    assert odds[0] - odds[1] == pytest.approx(3.0, abs=0.1)  # of three digits


def said(capsys: Capture, place: Path, name: str) -> str:
    """What predict says of a new user, on the shop under that name."""
    data = Prepared.load(place / "data" / "shop")
    replace(data, reading=replace(data.reading, name=name)).save(place / "data" / name)
    capsys.readouterr()
    assert main(["predict", "--user", "new", "--adapter", ADAPTER, "--data", f"data/{name}"]) == 0
    return capsys.readouterr().out


def test_a_folder_that_is_no_adapter_is_told_from_one_that_holds_it(place: Path, capsys: Capture) -> None:
    run = Path(ADAPTER).parent
    assert f"name {ADAPTER}" in refused(capsys, "predict", "--user", "1", "--adapter", str(run))
    (place / ADAPTER / "genrec.json").unlink()
    for folder in (str(run), ADAPTER):
        assert "not finished" in refused(capsys, "predict", "--user", "1", "--adapter", folder)


def test_an_item_that_nobody_knows_is_asked_about_as_a_new_one(place: Path, capsys: Capture) -> None:
    known = Prepared.load(place / "data" / "shop").tables.items["item_id"][0].as_py()
    for item, said in ((known, False), ("No such thing", True)):
        assert main(["ask", "--user", "1", "--item", item, "Good?", "--adapter", ADAPTER]) == 0
        assert ("'No such thing' is no item's id or title" in capsys.readouterr().out) is said


def test_a_search_may_stop_early_and_says_so(place: Path, capsys: Capture) -> None:
    assert main(["recommend", "--user", "1", "--adapter", ADAPTER, "--nodes", "1", "-k", "3"]) == 0
    bounded = capsys.readouterr().out
    assert re.search(r"not exact: an item up to [0-9.]+ nats better .* completed greedily", bounded)
    assert main(["recommend", "--user", "1", "--adapter", ADAPTER, "--nodes", "0", "-k", "3"]) == 0
    exact = capsys.readouterr().out
    assert "\nexact over" in exact
    assert bounded.count("\n") == exact.count("\n")  # as many items


def test_json_is_all_that_is_printed(place: Path, capsys: Capture) -> None:
    assert main(["predict", "--user", "1", "--items", "1", "--adapter", ADAPTER, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["item"] == "1"


@pytest.mark.parametrize(
    ("tasks", "answered", "in_vain"),
    [
        (
            ("return",),
            {"predict --user 1": "return: 0.", "ask --user 1 Back?": "yes: 0."},
            {
                "predict --user 1 --items 1": "No task of this adapter is about an item",
                "recommend --user 1": "No task of this adapter names items",
                "ask --user 1 --item 1 Good?": "No yes-or-no task of this adapter is about an item",
            },
        ),
        (
            ("click",),
            {"predict --user 1 --items 1": "click", "ask --user 1 --item 1 Good?": "yes: 0."},
            {
                "predict --user 1": "There is nothing to predict",
                "recommend --user 1": "No task of this adapter names items",
                "ask --user 1 Back?": "No yes-or-no task of this adapter is about the user alone",
            },
        ),
        (
            ("next",),
            {"recommend --user 1 -k 2": "exact over 10 titles"},
            {
                "predict --user 1 --items 1": "No task of this adapter is about an item",
                "ask --user 1 Back?": "No yes-or-no task",
            },
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_adapter_answers_what_its_tasks_can_and_refuses_the_rest(
    tasks: tuple[str, ...],
    answered: dict[str, str],
    in_vain: dict[str, str],
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workplace(tmp_path, *tasks)
    monkeypatch.chdir(tmp_path)
    user = str(Prepared.load(Path("data/shop")).examples.user_id.iloc[0])
    for command, expected in answered.items():
        assert main(command.replace("--user 1", f"--user {user}").split()) == 0
        assert expected in capsys.readouterr().out
    for command, expected in in_vain.items():
        assert expected in refused(capsys, *command.split())


def test_an_item_task_that_the_data_lacks_is_named(place: Path, capsys: Capture) -> None:
    shop_of("return").save(place / "data" / "other")
    error = refused(capsys, "recommend", "--user", "1", "--adapter", ADAPTER, "--data", "data/other")
    assert "This data set has no task 'next'" in error
