"""Logs that do not say what was shown: clicks, purchases, ratings or visits alone are a history to recommend from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from served_shop import served_from
from small_logs import CLICK, CONVERT, NEXT, RETURN, Row, prepared, row
from small_prompts import tokens

from finetune.mixture import Mixture, MixtureOptions
from genrec.dataset import Prepared, prepare
from genrec.errors import UserError
from genrec.sources.files import load
from genrec.tasks import load_tasks
from genrec.touches import Touches
from prompts.adapter import prompts_hash
from prompts.layout import Known, Layout
from prompts.pack import TASKS, load_pack
from serve.gateway.schemas import About
from serve.gateway.work import person
from serve.guest import GUEST, Told, guest
from serve.served import Served

HEADS = {
    "click": "Products that one customer chose or rated, one a line: name, then a number where one is known.",
    "convert": "Products that one customer bought, one a line: name, then the amount where one is known.",
    "impression": "Products that one customer chose or rated, one a line: name, then a number where one is known.",
    "visit": "Visits of one customer.",
}
LEVELS = " Levels go from A (hardly any) to Z, then a to z (nearly all).\nCustomer:\n"


def own_files(folder: Path, event: str) -> Prepared:
    """Twelve users and as many days, an event of that name a day; every other one has a value."""
    rows = ["user_id,item_id,ts,event,value"]
    for day in range(12):
        for user in range(12):
            item = "" if event == "visit" else (user + day) % 8
            value = "" if event in ("click", "visit") else day % 5
            rows.append(f"u{user},{item},2024-05-{day + 1:02}T{user:02}:00:00Z,{event},{value}")
    (folder / "events.csv").write_text("\n".join(rows))
    (folder / "items.csv").write_text("item_id,title\n" + "".join(f"{n},Tea {n}\n" for n in range(8)))
    (folder / "mapping.yaml").write_text(
        "name: own\nevents: {path: events.csv}\nitems: {path: items.csv}\n"
        "labels: {return: {horizon: 1d, session_gap: 1h, later_day: false}}\n"
    )
    loaded = load(folder)
    return prepare(loaded, load_tasks([TASKS], loaded.reading.tasks, loaded.reading.labels))


@pytest.mark.parametrize(
    ("event", "kind", "line"),
    [
        ("click", "touch", "Tea 3\t\n"),
        ("convert", "purchase", "Tea 3\t3\n"),
        ("impression", "touch", "Tea 3\t3\n"),
    ],
)
def test_a_log_of_touches_is_history_and_is_recommended_from(
    tmp_path: Path, event: str, kind: str, line: str
) -> None:
    data = own_files(tmp_path, event)
    assert data.reading.tasks == ("return", "next")
    assert data.tasks["next"].label["event"] == event
    assert set(data.lines.kind) == {kind}
    assert len(data.lines) == 144
    here = served_from(data)
    layout = here.layout
    context = layout.tokens.text(tuple(here.histories.context("u0", 4).tolist()))
    assert context.startswith(HEADS[event] + LEVELS + "Tea 0\t")
    assert context.endswith(line)
    assert " yes" not in context
    assert " no" not in context
    touched = set(data.tables.events.to_pandas().query("user_id == 'u0'").item_id)
    assert len(touched) == 8 > len(set(here.touched("u0", here.item_task(), 5))) == 5
    found = here.next_items("u0", 3, here.touched("u0", here.item_task(), 5))
    assert len(found.items) == 3
    assert not {item for item, _ in found.items} & {"0", "1", "2", "3", "4"}
    assert here.recommend("u0", 3).items == []  # all were touched
    past = Touches(data, data.tasks["next"])
    for asked in data.examples[data.examples.task == "next"].itertuples():
        assert asked.item_id not in past.items(str(asked.user_id), asked.point)
    known = Known(dict.fromkeys(("item_share", "match_share"), 0.001))
    said, unsaid = (layout.question("return", "1", k, query="Well?").ids for k in (known, Known()))
    assert said == unsaid  # that hardly anyone clicks


@pytest.mark.parametrize("event", ["click", "convert", "impression", "visit"])
def test_such_a_log_is_packed_for_training(tmp_path: Path, event: str) -> None:
    data = own_files(tmp_path, event)
    here = served_from(data)
    mixture = Mixture(data, here.layout, here.histories, MixtureOptions())
    rows = list(mixture.rows("train"))
    reads = np.concatenate([row["read_task"] for row in rows])
    names = {mixture.tasks[k].name for k in reads}
    assert names == ({"return"} if event == "visit" else {"return", "next"})
    told = guest(here, [Told("1", True), Told("2", True, True)])
    kinds = {"click": ["touch", "purchase"], "impression": ["touch", "purchase"], "convert": ["purchase"] * 2}
    if event != "visit":
        assert told.data.lines.kind.tolist() == kinds[event]
        assert "Tea 1" in here.layout.tokens.text(tuple(told.histories.context(GUEST, 2).tolist()))


def lines_of(here: Served, *history: dict[str, object]) -> list[list[object]]:
    who = person(here, About.model_validate({"history": list(history)}))
    return [list(row) for row in who.served.data.lines[["kind", "click", "convert"]].itertuples(index=False)]


@pytest.mark.parametrize("event", ["click", "convert", "impression"])
def test_what_such_a_log_cannot_hold_is_refused_in_a_told_history(tmp_path: Path, event: str) -> None:
    here = served_from(own_files(tmp_path, event))
    bought = event == "convert"
    line = ["purchase", 1, 1] if bought else ["touch", 1, 0]
    assert lines_of(here, {"item": "1"}, {"item": "2", "click": True}) == [line, line]
    assert lines_of(here, {"item": "1", "click": False, "convert": True}) == [["purchase", 1, 1]]
    with pytest.raises(UserError, match='"click": false says nothing here') as caught:
        lines_of(here, {"item": "1"}, {"item": "2", "click": False})
    assert caught.value.where == "history.1.click"
    assert "leave the event out" in caught.value.cure
    if bought:
        with pytest.raises(UserError, match=r'"convert": false says nothing here.*purchases alone'):
            lines_of(here, {"item": "1", "convert": False})
    else:
        assert lines_of(here, {"item": "1", "convert": False}) == [line]


def test_a_log_of_what_was_seen_holds_what_was_not_chosen() -> None:
    rows = [row("u", "abc"[n], 10 * n, "impression") for n in range(3)]
    here = served_from(prepared(rows, {"next": replace(NEXT, label={**NEXT.label, "event": "impression"})}))
    assert here.layout.log == "seen"
    assert lines_of(here, {"item": "a", "click": False}, {"item": "b"}) == [["touch", 0, 0], ["touch", 1, 0]]


def test_logins_speak_of_events_and_not_of_products(tmp_path: Path) -> None:
    data = own_files(tmp_path, "visit")
    here = served_from(data)
    assert data.reading.tasks == ("return",)
    text = here.layout.tokens.text
    assert text(tuple(here.histories.context("u0", 0).tolist())) == HEADS["visit"] + LEVELS
    last = data.stats["running"].iloc[-1].to_dict()
    question = text(here.layout.question("return", known=Known.of(last, 1.0, float("nan"))).ids)
    assert "; 1 events. Back within 1 days?" in question
    assert "product" not in question


SHOWN = {task.name: task for task in (CLICK, CONVERT, NEXT)}
RETURNS = {"return": RETURN}


def shown_log() -> list[Row]:
    """a is shown, clicked and bought; b is clicked, c bought, and no impression says so."""
    return [
        row("u", "a", 0, "impression"), row("u", "a", 1, "click"), row("u", "b", 2, "click"),
        row("u", "c", 3, "convert"), row("u", "b", 50, "impression"), row("u", "b", 51, "click"),
        row("v", "c", 60, "impression"),
    ]  # fmt: skip


def test_what_no_impression_accounts_for_is_a_line_at_its_own_time_and_not_recommended() -> None:
    data = prepared(shown_log(), SHOWN)
    lines = data.lines[data.lines.user_id == "u"]
    assert lines[["kind", "item_id", "click", "convert"]].to_numpy().tolist() == [
        ["touch", "b", 1, 0], ["purchase", "c", 1, 1], ["impression", "a", 1, -1], ["impression", "b", 1, -1],
    ]  # fmt: skip
    assert lines.known_at.tolist()[:2] == lines.ts.tolist()[:2]
    here = served_from(data)
    assert set(here.touched("u", NEXT)) == {"a", "b", "c"}
    written = [here.layout.tokens.text(here.layout.line(line)) for line in lines.to_dict("records")]
    assert written[:2] == ["B\tclicked\n", "C\tbought\n"]
    assert written[3].endswith(" yes\n")


def test_a_purchase_without_item_or_amount_states_neither() -> None:
    beside = prepared([*shown_log(), row("u", None, 70, "convert", value=3.0)], SHOWN)
    alone = prepared([row("u", None, 0, "convert"), row("u", None, 1440, "convert", value=3.0)], RETURNS)
    for data, wanted in ((beside, ["bought\n"]), (alone, ["first purchase\n", "1 days later\t3\n"])):
        layout = served_from(data).layout
        lines = data.lines[data.lines.item_id == ""].to_dict("records")
        days = [None, 1.0][: len(lines)]
        written = [layout.line(line, days=day) for line, day in zip(lines, days, strict=True)]
        assert [layout.tokens.text(ids) for ids in written] == wanted


@pytest.mark.parametrize(("stars", "says"), [(None, "was shown or chose,"), (4.0, "chose or rated,")])
def test_items_that_were_shown_and_no_more_are_not_called_chosen(stars: float | None, says: str) -> None:
    rows = [row("u", "abc"[n], 10 * n, "impression", value=stars) for n in range(3)]
    here = served_from(prepared(rows, {"next": replace(NEXT, label={**NEXT.label, "event": "impression"})}))
    text = here.layout.tokens.text(here.layout.head("u"))
    assert text.startswith(f"Products that one customer {says} one a line: name, then a number")


def test_what_was_touched_before_is_no_next_item() -> None:
    data = prepared([*shown_log(), row("u", "c", 70, "click")], SHOWN)
    asked = data.examples[(data.examples.task == "next") & (data.examples.user_id == "u")]
    assert asked.item_id.tolist() == ["a", "b"]  # c was bought before it was clicked


def test_a_log_that_has_become_one_of_another_kind_is_written_in_other_words() -> None:
    """So an adapter that was trained on purchases alone is not served after the first click."""
    hashes = {
        prompts_hash(Layout(tokens(), load_pack("goods-en"), {"next": NEXT}, {}, {}, kind))
        for kind in ("bought", "touched", "seen", "visits")
    }
    assert len(hashes) == 4
