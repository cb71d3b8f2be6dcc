"""Protocols: the splits that papers use, prepared by one command, held to by another, named in results."""

from dataclasses import replace
from pathlib import Path

import pytest
from small_shop import shop

from eval.baselines.prior import Prior
from eval.harness import Ask, evaluate
from eval.protocols import PROTOCOLS, protocol_of, require, resplit
from eval.report.markdown import markdown
from eval.results_file import write_result
from genrec.cli import main
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.reading import Reading
from genrec.splits import another

TINY = ["data", "prepare", "simulator", "--set", "users=12", "--set", "items=10", "--set", "days=12"]


@pytest.mark.parametrize("protocol", [*PROTOCOLS])
def test_every_protocol_splits_and_is_known_again(protocol: str) -> None:
    data = resplit(shop(), protocol)
    assert {"train", "valid", "test"} <= set(data.examples.split)
    assert data.rows("click", "test").size
    assert protocol_of(data) == protocol
    assert data.name.startswith("simulator-")
    require(data, protocol, {"name": data.name})


def test_folds_test_every_user_once() -> None:
    folds = [resplit(shop(), "five-fold", fold) for fold in range(5)]
    tested = [set(d.examples.user_id.iloc[d.rows("click", "test")]) for d in folds]
    assert set.union(*tested) == set(shop().examples.user_id[shop().examples.task == "click"])
    assert sum(map(len, tested)) == len(set.union(*tested))
    assert len({data.name for data in folds}) == 5
    assert {protocol_of(data) for data in folds} == {"five-fold"}


def test_refuses_what_is_not_there() -> None:
    with pytest.raises(UserError, match="No protocol"):
        resplit(shop(), "random")
    for fold in (5, -1):
        with pytest.raises(UserError, match=f"No fold {fold}"):
            resplit(shop(), "five-fold", fold)


@pytest.mark.parametrize("protocol", [*PROTOCOLS])
def test_the_command_that_a_protocol_names_prepares_for_it(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, *PROTOCOLS[protocol].options.split()]) == 0
    (folder,) = Path("data").iterdir()
    data = Prepared.load(folder)
    assert protocol_of(data) == protocol
    assert folder.name == data.name
    assert (data.name == "simulator") is (protocol == "time")  # its own split: nothing is another
    require(data, protocol, {"name": data.name})


def test_what_is_split_otherwise_is_refused_with_the_commands_to_run() -> None:
    data = replace(shop(), reading=replace(shop().reading, split={"by": "time"}))
    with pytest.raises(UserError) as error:
        require(data, "leave-last-out", {"name": "simulator"})
    text = str(error.value)
    assert "leave-last-out needs another split than time" in text
    for command in (
        "`genrec data prepare simulator --split last`",
        "`genrec train data/simulator-last`",
        "`genrec eval --protocol leave-last-out`",
    ):
        assert command in text
    other = resplit(shop(), "leave-last-out")
    with pytest.raises(UserError, match="The adapter was trained on simulator\n"):
        require(other, "leave-last-out", {"name": "simulator"})


def test_a_split_that_was_given_stays() -> None:
    with pytest.raises(UserError, match="was given with it"):
        another(Reading("cdnow", split={"by": "given"}), {"by": "last"})


def test_folds_are_of_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--fold", "2", "--out", str(tmp_path / "shop")]) == 2
    assert "--fold is of folds of users" in capsys.readouterr().err


def test_results_and_reports_name_the_protocol(tmp_path: Path) -> None:
    data, model = resplit(shop(), "leave-last-out"), Prior()
    model.fit(data, "running")
    result = write_result(evaluate(model, data, Ask("click", repeats=2)).result, tmp_path / "click.json")
    assert result["protocol"] == "leave-last-out"
    assert "test split of leave-last-out, running statistics" in markdown([result])
    usual = evaluate(model, shop(), Ask("click", repeats=2)).result
    assert usual["protocol"] == ""  # by time, but not 8:1:1


def test_help_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["eval", "--help"])
    text = capsys.readouterr().out
    for name, protocol in PROTOCOLS.items():
        assert name in text
        assert f"genrec data prepare SOURCE {protocol.options}" in text
