"""What `genrec predict` and /v1/predict share: which tasks are asked, in whose words, and which are calibrated."""

import json
from pathlib import Path

import numpy as np
import pytest
from served_shop import served

from genrec.cli import main
from genrec.errors import UserError
from serve import commands
from serve.every_task import every_task
from serve.gateway import schemas, work
from serve.served import Served

LINE = {"slope": 2.0, "intercept": 0.5, "examples": 80}
FITTED = {
    "click": LINE, "convert": LINE,
    "return": {**LINE, "slope": 1.0, "intercept": 0.0, "note": "not calibrated: 20 examples, fewer than 50"},
}  # fmt: skip
WORDS = "Will they come back this week?"


@pytest.fixture(scope="module")
def here() -> Served:
    return served(calibration=FITTED)


@pytest.fixture
def opened(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "open_served", lambda args: (Path("adapter"), here))


def reply(here: Served, **body: object) -> schemas.PredictReply:
    asked = schemas.PredictBody.model_validate(body)
    return work.predict(work.person(here, asked), "genrec", asked)


def test_words_without_items_are_asked_about_the_user(
    here: Served, opened: None, capsys: pytest.CaptureFixture[str]
) -> None:
    words, own = reply(here, user="u00003", query=WORDS), reply(here, user="u00003")
    wanted = here.predictor.predict([here.user_row("u00003", "return")], ["return"], WORDS)["return"][0]
    assert words.about_user == {"return": wanted} != own.about_user
    assert words.calibrated == []
    assert main(["ask", WORDS, "--user", "u00003"]) == 0
    assert f"yes: {wanted:.3f}" in capsys.readouterr().out


def test_words_with_items_are_asked_about_these_unless_tasks_say_otherwise(here: Served) -> None:
    found = reply(here, user="u00003", items=["g00001"], query=WORDS)
    assert (set(found.items[0].probabilities), found.about_user) == ({"click", "joy"}, {})
    found = reply(here, user="u00003", items=["g00001"], query=WORDS, tasks=["return", "click"])
    assert (set(found.items[0].probabilities), set(found.about_user)) == ({"click"}, {"return"})
    with pytest.raises(UserError, match="convert continues click"):
        reply(here, user="u00003", items=["g00001"], query=WORDS, tasks=["ctcvr"])


def test_ctcvr_alone_is_the_product_of_its_two(here: Served) -> None:
    items = list(here.layout.items)[:4]
    both, alone = (
        every_task(here, "u00003", items, ["click", "convert"]),
        every_task(here, "u00003", items, ["ctcvr"]),
    )
    assert set(both.about_items) == {"click", "convert", "ctcvr"}
    assert set(alone.about_items) == {"ctcvr"}
    np.testing.assert_allclose(
        alone.about_items["ctcvr"], both.about_items["click"] * both.about_items["convert"]
    )
    assert alone.calibrated == ["ctcvr"]
    with pytest.raises(UserError, match="no task 'happiness'"):
        every_task(here, "u00003", items, ["happiness"])


def test_the_last_line_names_what_is_not_calibrated(
    here: Served, opened: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["predict", "--user", "u00003", "--items", "g00001,g00002"]
    assert main(asked) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "not calibrated: joy, return"
    assert main([*asked, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert answers["calibrated"] == ["click", "convert", "ctcvr"]
    assert answers["items"][0]["item"] == "g00001"
    monkeypatch.setattr(commands, "open_served", lambda args: (Path("adapter"), served()))
    assert main(asked) == 0
    (*_, last) = capsys.readouterr().out.splitlines()
    assert last.startswith("not calibrated: click, convert, joy, ctcvr, return; `genrec eval`")
