"""Every field that names an item reads names by the one rule and says how, behind a mock engine."""

from typing import Any

import pytest
from pydantic import ValidationError
from served_shop import served

from genrec.cli import main
from genrec.errors import UserError
from serve.gateway import schemas, work
from serve.gateway.explain import explain
from serve.gateway.rerank import rerank
from serve.served import Served

TITLES = {
    "g00001": "Fargo",
    "g00002": "FARGO",
    "g00003": "Iron jam",
    "g00004": "g00005",
    "g00006": "Tea, green | loose",
}


@pytest.fixture(scope="module")
def here() -> Served:
    found = served()
    found.layout.items = {
        item: {**row, "title": TITLES.get(item, row["title"])} for item, row in found.layout.items.items()
    }
    return found


def predicted(here: Served, **asked: Any) -> schemas.PredictReply:
    body = schemas.PredictBody.model_validate({"user": "u00001", "tasks": ["click"], **asked})
    return work.predict(work.person(here, body), "genrec", body)


def recommended(here: Served, **asked: Any) -> schemas.RecommendReply:
    asked = {"user": "u00001", "k": 30, "weights": {"click": 0}, "repeat": "allow", **asked}
    body = schemas.RecommendBody.model_validate(asked)
    return work.recommend(work.person(here, body), "genrec", body, 0.0)


def test_predict_answers_for_the_item_whose_exact_title_was_sent(here: Served) -> None:
    reply = predicted(here, items=["Fargo", "FARGO", "g00001", "iron JAM", "g00005", "Titanic"])
    assert [(item.item, item.read_as, item.known) for item in reply.items] == [
        ("g00001", "title", True), ("g00002", "title", True), ("g00001", "id", True),
        ("g00003", "normalized title", True), ("g00005", "id", True), ("Titanic", "new", False),
    ]  # fmt: skip
    assert reply.items[4].note == "'g00005' is also the title of item g00004"
    assert reply.items[0].probabilities == reply.items[2].probabilities != reply.items[1].probabilities
    with pytest.raises(UserError) as refused:
        predicted(here, items=["Iron jam", "fargo"])
    assert refused.value.where == "items.1"


def test_what_is_excluded_or_available_may_be_named_by_title(here: Served) -> None:
    everything = {item.item for item in recommended(here).items}
    assert everything == set(here.layout.items)
    without = recommended(here, exclude=["Iron jam", "g00007", "Titanic"])
    assert everything - {item.item for item in without.items} == {"g00003", "g00007"}
    assert [(name.field, name.name, name.item, name.read_as) for name in without.names] == [
        ("exclude", "Iron jam", "g00003", "title"), ("exclude", "Titanic", "Titanic", "new"),
    ]  # fmt: skip
    assert without.names[1].note == "'Titanic' is no item's id or title"
    only = recommended(here, available=["IRON JAM", "g00007"])
    assert {item.item for item in only.items} == {"g00003", "g00007"}
    assert [(name.field, name.read_as) for name in only.names] == [("available", "normalized title")]
    assert [name.read_as for name in recommended(here, available=["Titanic"]).names] == ["new"]
    for field in ("exclude", "available"):
        with pytest.raises(UserError, match="fits the titles of 2 items"):
            recommended(here, **{field: ["fargo"]})


def test_histories_and_explanations_name_items_alike(here: Served) -> None:
    told: list[dict[str, Any]] = [{"item": "FARGO", "click": True}, {"item": "g00003"}, {"item": "Titanic"}]
    reply = predicted(here, user=None, history=told, items=["g00007"])
    assert [(name.field, name.name, name.item) for name in reply.names] == [
        ("history", "FARGO", "g00002"), ("history", "Titanic", "Titanic"),
    ]  # fmt: skip
    by_id = predicted(here, user=None, history=[{**told[0], "item": "g00002"}, *told[1:]], items=["g00007"])
    assert by_id.items == reply.items
    body = schemas.ExplainBody.model_validate({"history": told, "item": "iron jam"})
    why = explain(work.person(here, body), "genrec", body)
    assert (why.item, why.title) == ("g00003", "Iron jam")
    assert [name.field for name in why.names] == ["history", "history", "item"]


def test_documents_are_titles_first_and_each_says_what_it_was_read_as(here: Served) -> None:
    documents = ["g00005", "g00001", "fargo noir", "iron jam"]
    ranking = rerank(here, schemas.RerankBody.model_validate({"user": "u00001", "documents": documents}))
    assert [(name.item_id, name.read_as) for name in ranking.documents] == [
        ("g00004", "title"), ("g00001", "id"), ("fargo noir", "new"), ("g00003", "normalized title"),
    ]  # fmt: skip
    assert ranking.documents[0].note == "'g00005' is also the id of item g00005"
    relevance = dict(ranking.order)
    (of_title,) = predicted(here, items=["g00004"]).items
    assert relevance[0] == pytest.approx(of_title.probabilities["click"])


def test_a_query_like_a_user_id_that_the_log_lacks_is_refused_with_both_ways_out(here: Served) -> None:
    def asked(**fields: Any) -> tuple[str, str | None, bool]:
        ranking = rerank(
            here, schemas.RerankBody.model_validate({"documents": ["Iron jam", "Fargo"], **fields})
        )
        return ranking.query_read_as, ranking.who.name, ranking.who.known

    assert asked(query="u00001") == ("user id", "u00001", True)
    assert asked(query="Something for the rain?") == ("words", None, False)
    assert asked(query="1984") == ("words", None, False)  # no user id of this log is a number
    with pytest.raises(UserError, match="knows no user 'u99999'") as refused:
        asked(query="u99999")
    assert "field user" in refused.value.cure
    assert asked(user="u99999") == ("", "u99999", False)
    assert asked(query="u99999", history=[]) == ("words", None, False)


def test_whole_numbers_are_ids_and_other_numbers_are_not() -> None:
    body = schemas.RecommendBody.model_validate({"user": 42, "exclude": [7, "8"], "available": [-3, 2**64]})
    assert (body.user, body.exclude, body.available) == ("42", ["7", "8"], ["-3", str(2**64)])
    assert schemas.PredictBody.model_validate({"history": [{"item": 5}], "items": [6]}).items == ["6"]
    assert schemas.RerankBody.model_validate({"query": 42, "documents": ["x"]}).query == "42"
    assert schemas.ExplainBody.model_validate({"user": 1, "item": 2}).item == "2"
    for wrong in (True, 1.0, 1.5, None, [1], 10**300):
        with pytest.raises(ValidationError):
            schemas.PredictBody.model_validate({"items": [wrong]})


# ---- the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def opened(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.commands._open", lambda args: here)


def test_ask_takes_one_item_whatever_characters_it_has(
    opened: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for named, about in (
        ("Tea, green | loose", "about Tea, green | loose (item g00006)"),
        ("A | new, one", "about (new) A | new, one\n'A | new, one' is no item's id or title"),
        ("FARGO", "about FARGO (item g00002)"),
    ):
        assert main(["ask", "--user", "u00001", "--item", named, "good?"]) == 0
        assert capsys.readouterr().out.startswith(about)
    assert main(["ask", "--user", "u00001", "--item", "", "good?"]) == 2
    assert "name is empty" in capsys.readouterr().err


def test_predict_lists_items_or_names_them_one_by_one(
    opened: None, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["predict", "--user", "u00001", "--items", "Fargo|g00005", "--item", "tea, green | LOOSE"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()[1:4]] == ["g00001", "g00005", "g00006"]
    assert "'g00005' is also the title of item g00004" in said
    assert "'tea, green | LOOSE' is read as the title of item g00006" in said
    assert main(["predict", "--user", "u00001", "--items", "fargo"]) == 2
    assert "g00001 (Fargo), g00002 (FARGO)" in capsys.readouterr().err
    assert main(["predict", "--user", "u00001", "--items", ", ,"]) == 2
