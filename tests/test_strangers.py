"""Scored, not refused: tasks about the user alone are asked of anyone, in words of training; no number is made up."""

from pathlib import Path

import numpy as np
import pytest
from served_shop import SILENT, data, served
from small_prompts import PACKS

from genrec.cli import main
from prompts.layout import Known
from serve import commands
from serve.gateway import schemas, work
from serve.served import Served

STRANGERS = ("nobody has this id", SILENT)


def question(here: Served, user: str) -> str:
    row = here.user_row(user, "return")
    return here.layout.tokens.text(here.layout.question("return", "", row.known).ids)


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("user", STRANGERS)
def test_a_stranger_is_asked_as_training_asks_without_statistics(pack: str, user: str) -> None:
    here = served(pack)
    wanted = here.layout.question("return", "", Known(horizon_days=7.0)).ids
    assert question(here, user) == here.layout.tokens.text(wanted)
    assert here.user_row(user, "return").point == 0


def test_one_who_had_a_session_is_asked_as_it_was_over() -> None:
    here = served()
    rows = np.flatnonzero((data().examples.task == "return").to_numpy())
    user = str(data().examples.user_id.iloc[rows[0]])
    (*_, last) = (n for n in rows if data().examples.user_id.iloc[n] == user)
    row, stats = here.user_row(user, "return"), data().stats["running"].iloc[last]
    assert (row.known.stats or {})["sessions"] == stats.sessions
    assert "Visit" in question(here, user)


def test_a_history_without_a_session_stands_before_the_question() -> None:
    user = str(data().examples.user_id[data().examples.task == "return"].iloc[0])
    examples = data().examples[data().examples.task != "return"]
    stats = {regime: frame.loc[examples.index] for regime, frame in data().stats.items()}
    here = served(examples=examples, stats=stats)
    row = here.user_row(user, "return")
    assert row.point == here.point(user) > 0
    assert "Visit" not in question(here, user)


@pytest.mark.parametrize("user", STRANGERS)
def test_every_command_answers_a_stranger(
    user: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "open_served", lambda args: (Path("adapter"), served()))
    for asked in (["ask", "Will they come back?", "--user", user], ["predict", "--user", user]):
        assert main(asked) == 0
        out, err = capsys.readouterr()
        assert ": 0." in out
        assert not err


def test_a_request_about_a_stranger_is_answered() -> None:
    for about in ({"user": STRANGERS[0]}, {"history": [{"item": "g00001", "click": True}]}, {}):
        body = schemas.PredictBody.model_validate(about)
        reply = work.predict(work.person(served(), body), "genrec", body)
        comes = reply.about_user["return"]
        assert isinstance(comes, float)
        assert 0 < comes < 1
