"""What check and prepare doubt: each warning with its count and its cure; and silence where all is well."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_logs import CLICK, CONVERT, NEXT, RETURN, STARS, Row, row, tables

from genrec.command import Parser, fill
from genrec.commands.data import command
from genrec.doubts import judge
from genrec.errors import UserError
from genrec.findings import Findings
from genrec.labelled import label
from genrec.reading import Loaded, Reading
from genrec.tasks import SPLITS, Task, load_tasks
from prompts.pack import TASKS as FOLDER

TASKS = {task.name: task for task in (CLICK, CONVERT, RETURN, NEXT)}
DAY = 24 * 60  # minutes


def pages(days: int = 40) -> list[Row]:
    """Two users, two page views a day of two items each; the first item is clicked in each second one, and bought in
    each fourth."""
    rows = []
    for n in range(2 * days):
        for user in "uv":
            start, items = n * DAY / 2 + 60 * (user == "v"), ("ab", "bc", "ca")[n % 3]
            rows += [row(user, item, start, "impression", request_id=f"{user}{n}") for item in items]
            rows += [row(user, items[0], start + 2, "click")] * (n % 2)
            rows += [row(user, items[0], start + 4, "convert")] * (n % 4 == 1)
    return rows


def judged(rows: list[Row], tasks: dict[str, Task] = TASKS) -> Findings:
    findings = Findings()
    loaded = Loaded(tables(rows), Reading("small", tasks=tuple(tasks)), [])
    judge(loaded, tasks, findings)
    return findings


def warned(rows: list[Row], tasks: dict[str, Task] = TASKS) -> str:
    return "\n".join(judged(rows, tasks).lines())


def labelled_counts(rows: list[Row], task: Task) -> list[int]:
    tasks = {**TASKS, task.name: task}
    examples = label(Loaded(tables(rows), Reading("small", tasks=tuple(tasks)), []), tasks).examples
    return [int(((examples.task == task.name) & (examples.split == split)).sum()) for split in SPLITS]


def changed(rows: list[Row], change: Callable[[Row], Row]) -> list[Row]:
    return [change(dict(r)) for r in rows]


def test_nothing_is_doubted_of_a_log_that_is_whole() -> None:
    assert warned(pages(), {"click": CLICK, "convert": CONVERT}) == ""


def test_a_request_id_that_spans_days_is_warned_of_with_its_cost() -> None:
    rows = changed(pages(), lambda r: {**r, "request_id": "0" if r["event"] == "impression" else None})
    shown = warned(rows)
    assert "2 requests hold impressions that lie up to 39 days apart" in shown
    assert (
        "160 of them can be used, with 0.0 history lines on average; each asked at its own time it is 318 with 88.4"
        in shown
    )
    assert "1 of 1 request_ids stand with several users" in shown


def test_a_request_id_within_a_session_is_not_warned_of() -> None:
    rows = pages()
    late = changed(rows, lambda r: {**r, "ts": r["ts"] + (14 * 60_000_000 if r["item_id"] == "b" else 0)})
    assert "requests hold" not in warned(late)


def test_pages_that_are_logged_only_with_a_click_are_warned_of() -> None:
    rows = [r for r in pages(60) if r["event"] != "impression" or int(str(r["request_id"])[1:]) % 2]
    assert "Each of the 120 requests of several impressions has a click" in warned(rows)
    assert "has a click" not in warned([*rows, *pages(1)[:2]])


def test_clicks_of_an_early_clock_are_counted_with_what_they_do_to_the_rate() -> None:
    early = changed(
        pages(),
        lambda r: {
            **r,
            "ts": r["ts"] - (5 * 60_000_000 if r["event"] == "click" and r["user_id"] == "u" else 0),
        },
    )
    shown = warned(early)
    assert (
        "40 click events come before the impression of that user and item, by 3.0 minutes in the median"
        in shown
    )
    assert "50% of all. They give no label: the click rate is 12.5%, with them 25.0%" in shown
    few = [
        r for r in early if not (r["event"] == "click" and r["user_id"] == "u" and r["ts"] > early[20]["ts"])
    ]
    assert "come before" not in warned(few)


@pytest.mark.parametrize(
    ("kept", "says"), [("before", "There is no convert after"), ("after", "There is no convert before")]
)
def test_an_event_that_is_recorded_for_a_part_of_the_log_is_warned_of(kept: str, says: str) -> None:
    middle = pages()[len(pages()) // 2]["ts"]
    rows = [r for r in pages() if r["event"] != "convert" or (r["ts"] < middle) == (kept == "before")]
    assert says in warned(rows)
    assert "`end: " in warned(rows) or kept == "after"


def test_the_first_click_of_a_few_events_is_no_sign_of_a_recording_that_began_later() -> None:
    rows = [row("u", "a", 0, "impression"), row("u", "b", 0, "impression"), row("u", "a", 1, "click")]
    assert "There is no click" not in warned(rows, {"click": CLICK})
    many = [row("u", "a", 2 * n, "impression") for n in range(99)]
    late = [row("u", "a", 200 + n, "click") for n in range(9)]
    assert "There is no click before" in warned([*many, *late], {"click": CLICK})


def test_names_that_differ_in_spelling_are_told_with_the_value_to_write() -> None:
    called = {"impression": "Impression", "click": "CLICK", "convert": "purchase"}
    rows = changed(pages(), lambda r: {**r, "event": called[r["event"]]})
    shown = warned(rows, {"return": RETURN})
    assert (
        "Events are called 'Impression': no task reads that name, 'impression' is probably what they are (320 rows)"
        in shown
    )
    assert "`values: {event: {CLICK: click}}`" in shown
    assert "`values: {event: {purchase: convert}}`" in shown


def test_a_task_whose_event_the_log_lacks_is_refused() -> None:
    wish = Task(
        "wish", "binary", answers=(" yes", " no"), label={"rule": "follows", "event": "clik", "within": "1h"}
    )
    found = judged(pages(), {**TASKS, "wish": wish})
    (refusal,) = found.refused
    assert (
        refusal.what
        == "Task 'wish' needs events called 'clik', and the log has none: it has impression, click, convert"
    )
    assert refusal.cure.startswith("did you mean 'click'?")
    bare = [r for r in pages() if r["event"] == "click"]
    assert [f.where for f in judged(bare, {"click": CLICK, "stars": STARS, "next": NEXT}).refused] == [
        "task click, label", "task stars, label",
    ]  # fmt: skip


def test_an_after_that_the_window_is_not_counted_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"label\.after is 'click', but the window is counted from the impression"
    ):
        load_tasks([FOLDER], ["click"], {"click": {"after": "click"}})
    assert load_tasks([FOLDER], ["click", "convert"], {})["convert"].label["after"] == "click"


def test_one_answer_is_nothing_to_learn() -> None:
    rows = [r for r in pages() if r["event"] != "convert"]
    rows += [row("u", "a", 3, "convert"), row("u", "a", 39.9 * DAY, "convert")]
    assert "training examples of convert have the same answer, no" in warned(rows)


def test_a_split_without_examples_comes_with_windows_that_leave_enough() -> None:
    long_horizon = replace(RETURN, label={**RETURN.label, "horizon": "9d"})
    shown = warned(pages(), {**TASKS, "return": long_horizon})
    assert "No valid and no test examples of return" in shown
    assert "`labels: {return: {horizon: 2d}}` leaves 120, 8, 8 or" in shown
    shorter = replace(RETURN, label={**RETURN.label, "horizon": "2d"})
    assert labelled_counts(pages(), shorter) == [120, 8, 8]
    assert "`split: {by: time, fractions: [0.4, 0.3, 0.3]}` leaves 28, 12, 11 (train, valid, test)" in shown


def test_an_event_that_only_follows_the_end_answers_no_task() -> None:
    rows = [r for r in pages() if r["event"] != "convert"]
    late = [row("u", "a", 400 * DAY, "convert")]
    assert "Task 'convert' needs events called 'convert', and the log has none" in warned([*rows, *late])


def test_ids_with_spaces_at_their_ends_are_counted_and_said_to_be_others() -> None:
    rows = [*pages(), *(row(user, "a", 39 * DAY, "impression") for user in (" u", "w "))]
    shown = warned(rows)
    assert "user_ids with spaces at their ends: 1 of them also occur without" in shown
    assert "item_ids" not in shown


def test_check_and_prepare_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["user_id,item_id,ts,event"]
    lines += [
        f"u,1,2024-05-{n:02},{event}" for n in range(1, 21) for event in ("impression", "CLICK", "click")
    ]
    (tmp_path / "events.csv").write_text("\n".join([*lines, *["u,1,2024-05-20T10:00:00,impression"] * 2]))
    (tmp_path / "items.csv").write_text("item_id,title\n1,Tea\n2,Cup\n")

    def said(*arguments: str) -> list[str]:
        command.run(fill(Parser(prog="genrec data"), command).parse_args(arguments))
        shown = capsys.readouterr().out.splitlines()
        return [line for line in shown if line.startswith(("repaired", "warned", "          cure"))]

    checked = said("check", str(tmp_path))
    assert any("'CLICK'" in line for line in checked)
    assert checked == said("prepare", "files", str(tmp_path), "--out", str(tmp_path / "out"))
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "wish.yaml").write_text(
        "name: wish\nkind: binary\nanswers: [' yes', ' no']\nlabel: {rule: follows, event: wish, within: 1h}\n"
    )
    assert (
        command.run(
            fill(Parser(prog="genrec data"), command).parse_args(
                ["check", str(tmp_path), "--tasks", str(tasks)]
            )
        )
        == 2
    )
    assert "Task 'wish' needs events called 'wish'" in capsys.readouterr().out
    with pytest.raises(UserError, match="Task 'wish' needs events called 'wish'"):
        said("prepare", "files", str(tmp_path), "--tasks", str(tasks), "--out", str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
