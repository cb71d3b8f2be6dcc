"""The facts that figures are read with: shared moments, new users, the number beside its letter."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_shop import shop

from eval.facts import as_letter, facts, letter_beside_number, main, new_users, shared_moments
from prompts.templates import level


def test_moments_that_one_user_has_twice_are_shared() -> None:
    data = shop()
    lines = data.lines.iloc[:5].assign(kind="impression", user_id=list("aaabb"), ts=[1, 1, 2, 2, 3])
    assert shared_moments(replace(data, lines=lines)) == {"impressions": 5, "share": 2 / 5}
    lines.loc[0, "kind"] = "conversion"
    assert shared_moments(replace(data, lines=lines)) == {"impressions": 4, "share": 0.0}


def test_users_whom_training_never_met_are_counted() -> None:
    data = shop()
    test = data.rows("click", "test")
    examples = data.examples.copy()
    trained = set(examples.user_id.iloc[data.rows("click", "train")])
    moved = next(user for user in examples.user_id.iloc[test] if user in trained)
    of_moved = int((examples.user_id.iloc[test] == moved).sum())
    examples.loc[test[examples.user_id.iloc[test] == moved], "user_id"] = "newcomer"
    before, after = new_users(data, "click"), new_users(replace(data, examples=examples), "click")
    assert after["new_users"] == before["new_users"] + 1
    assert after["examples_of_new_users"] == before["examples_of_new_users"] + of_moved


def test_a_letter_says_its_share_to_half_a_step_and_reads_as_itself() -> None:
    shares = np.array([0.01, 0.3, 0.5, 0.77, 0.95])
    said = as_letter(shares)
    assert [level(share) for share in said] == [level(share) for share in shares]
    odds = np.log(said / (1 - said)) - np.log(shares / (1 - shares))
    assert np.abs(odds).max() <= 0.1 + 1e-9
    assert as_letter(np.array([0.999]))[0] == pytest.approx(1 / (1 + np.exp(-3.4)))


def test_number_and_letter_are_judged_on_the_test_split() -> None:
    data = shop()
    found = letter_beside_number(data, "running")
    assert found["number"] != found["letter"]
    assert found["number"]["auc"] == pytest.approx(found["letter"]["auc"], abs=0.02)


def test_facts_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop().save(tmp_path / "shop")
    assert main([str(tmp_path / "shop"), "--out", str(tmp_path / "facts.json")]) == 0
    printed, written = json.loads(capsys.readouterr().out), json.loads((tmp_path / "facts.json").read_text())
    assert printed == facts(shop())
    assert printed.items() <= written.items()
    assert written["command"].startswith("python -m eval.facts")
    assert main([str(tmp_path / "nothing")]) == 2
