"""Progress: the words of a line, a plain line off a terminal, a bar on one, and nothing where it is not wanted."""

import sys
import threading
import time
from collections.abc import Callable
from io import StringIO

import pytest

from genrec import progress as module
from genrec.progress import Progress, duration, progress


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come every few milliseconds."""
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    for name in ("TICK_S", "FIRST_LINE_S", "EVERY_S"):
        monkeypatch.setattr(module, name, 0.001)


def wait_for(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end, "nothing was shown"
        time.sleep(0.005)


def test_a_line_says_where_the_work_stands_and_how_long_it_will_take() -> None:
    shown = Progress("training", total=300, unit="step")
    shown.advance(25)
    shown.note = "loss 0.61, 410 tokens/s"
    assert shown.line(elapsed=20) == "training: step 25 of 300, loss 0.61, 410 tokens/s, 4 min left"
    shown.seconds_left = 30
    assert shown.line(elapsed=20).endswith(", 30 s left")


def test_what_was_done_before_says_nothing_of_the_speed() -> None:
    shown = Progress("training", total=300, unit="step", done=200)
    assert shown.line(elapsed=7) == "training: step 200 of 300, 7 s so far"
    shown.advance(50)
    assert shown.line(elapsed=30) == "training: step 250 of 300, 30 s left"


def test_a_line_without_a_total_says_the_time_so_far() -> None:
    shown = Progress("reading the log", unit="row")
    shown.advance(20_000)
    assert shown.line(elapsed=7) == "reading the log: row 20,000, 7 s so far"
    assert Progress("loading the model").line(elapsed=130) == "loading the model, 2 min so far"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (99, "99 s"), (100, "2 min"), (5_400, "90 min"), (7_800, "2 h 10 min")]
)
def test_a_duration_is_said_as_a_person_says_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.usefixtures("quick")
def test_off_a_terminal_there_are_plain_lines_also_while_one_step_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with Progress("tasks", total=3, unit="task"):
        for item in progress(["a", "b"], "scoring", "row"):
            if item == "b":
                wait_for(lambda: "row 1 of 2" in stderr.getvalue())
    lines = stderr.getvalue().splitlines()
    assert any(line.startswith("tasks: task 0 of 3: scoring: row 1 of 2, ") for line in lines)
    assert "\r" not in stderr.getvalue()
    assert module._active == []


@pytest.mark.usefixtures("quick")
def test_on_a_terminal_there_is_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    with Progress("scoring", total=4, unit="row") as shown:
        shown.advance(2)
        wait_for(lambda: "scoring: row 2 of 4" in stderr.getvalue())
    assert "|  50%" in stderr.getvalue()
    assert "\n" not in stderr.getvalue()
    assert stderr.getvalue().endswith("\r")


@pytest.mark.usefixtures("quick")
def test_an_iteration_that_is_left_early_is_shown_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", StringIO())
    for item in progress(range(5), "scoring", "row"):
        if item == 2:
            break
    assert module._active == []


@pytest.mark.usefixtures("quick")
def test_a_servers_threads_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    active: list[int] = []

    def work() -> None:
        with Progress("scoring", total=4, unit="row"):
            active.append(len(module._active))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert active == [0]


@pytest.mark.usefixtures("quick")
def test_it_can_be_silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with Progress("scoring", total=4, unit="row"):
        assert module._active == []
