"""What a long command says while it works: a bar on a terminal, a plain line every ten seconds elsewhere, to stderr.

TQDM_DISABLE=1 in the environment silences both. Work outside the main thread is a server's and shows nothing.
"""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Self, TypeVar

from tqdm import tqdm

T = TypeVar("T")

TICK_S = 0.5  # how often a bar is drawn anew
FIRST_LINE_S = 5.0  # of silence before the first plain line
EVERY_S = 10.0  # between plain lines

_lock = threading.RLock()
_active: list["Progress"] = []  # outermost first
_ticker: threading.Thread | None = None


class Progress:
    """A piece of work whose progress is shown while the `with` block runs; where pieces nest, each has its own bar, and
    the plain line says the innermost one behind where the others stand.

    what: the work, such as "statistics". unit: what is counted, in the singular. total: how many there are, None where
    nobody knows or nothing is counted. done: how many were done before, such as the steps of a run that is resumed.
    note: words for the line's end, such as a loss; may be set anew at any time. seconds_left: by another clock than the
    rate so far, such as a time budget; may be set anew at any time.
    """

    def __init__(self, what: str, total: int | None = None, unit: str = "", done: int = 0) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = self._before = done
        self.note = ""
        self.seconds_left: float | None = None
        self._start = time.monotonic()
        self._bar: tqdm | None = None

    def advance(self, n: int = 1) -> None:
        """Count n more as done. It costs next to nothing, so it may be called for each of a million rows."""
        self.done += n

    def describe(self, note: str) -> None:
        """Set the note."""
        self.note = note

    def restart(self, done: int = 0) -> None:
        """Begin to count and to measure the time anew, with so many done before."""
        self.done = self._before = done
        self._start = time.monotonic()

    def position(self) -> str:
        """Where the work stands: "scoring: row 512 of 4,000"."""
        if self.total is None and not self.unit:
            return self.what
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{self.what}: {f'{self.unit} {self.done:,}'.strip()}{of}"

    def line(self, elapsed: float) -> str:
        """The position, the note, and the time left or, where it cannot be known, the time taken. elapsed: seconds."""
        return ", ".join(part for part in (self.position(), self.note, self._time(elapsed)) if part)

    def _time(self, elapsed: float) -> str:
        left = self.seconds_left
        fresh = self.done - self._before
        if left is None and self.total is not None and fresh > 0:
            left = elapsed / fresh * max(self.total - self.done, 0)
        return f"{duration(elapsed)} so far" if left is None else f"{duration(left)} left"

    def __enter__(self) -> Self:
        global _ticker
        self._start = time.monotonic()
        if os.environ.get("TQDM_DISABLE") or threading.current_thread() is not threading.main_thread():
            return self
        with _lock:
            _active.append(self)
            if _ticker is None or not _ticker.is_alive():  # another process's, where this one was forked
                _ticker = threading.Thread(target=_tick, name="progress", daemon=True)
                _ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _lock:
            if self in _active:
                _active.remove(self)
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def _draw(self) -> None:
        """The bar on a terminal, in the words of the plain line."""
        if self._bar is None:
            form = "{desc}" if self.total is None else "{desc} |{bar}| {percentage:3.0f}%"
            what = self.position()
            self._bar = tqdm(total=self.total, bar_format=form, leave=False, desc=what, disable=False)
        self._bar.n = self.done
        self._bar.set_description_str(self.line(time.monotonic() - self._start))


def progress(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """The items, one by one, with their progress shown; total is their number where they do not know it themselves."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(what, total, unit) as shown:
        for item in items:
            yield item
            shown.advance()


def duration(seconds: float) -> str:
    """As a person says it: "40 s", "4 min", "2 h 10 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _tick() -> None:
    """Show what is active until nothing is. One thread for all, so that a step that takes long is not silent."""
    global _ticker
    spoken = time.monotonic() + FIRST_LINE_S - EVERY_S
    while True:
        time.sleep(TICK_S)
        with _lock:
            if not _active:
                _ticker = None
                return
            try:
                if sys.stderr.isatty():
                    for shown in _active:
                        shown._draw()
                elif time.monotonic() - spoken >= EVERY_S:
                    spoken = time.monotonic()
                    *outer, inner = _active
                    places = [p.position() for p in outer if p.total is not None]
                    line = inner.line(spoken - inner._start)
                    print(": ".join([*places, line]), file=sys.stderr, flush=True)
            except (OSError, ValueError):  # stderr was closed
                return
