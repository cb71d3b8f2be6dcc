"""Statistics at the time of each example: every question answered from what had matured, for a whole log at once.

The same numbers as genrec.statistics.Statistics gives outcome by outcome: counts are sums over what came before, and
between two refreshes what all users share stands still, so that users are computed beside one another.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from genrec.progress import progress
from genrec.statistics.counting import Questions, count, residuals
from genrec.statistics.counts import COLUMNS, Counts
from genrec.statistics.item_kernel import (
    MIN_COUNT,
    ItemKernel,
    ItemQuestions,
    OutcomeRuns,
    window_start,
    windows,
)
from genrec.statistics.match import ForwardLogistic, probability
from genrec.statistics.outcomes import Outcomes, UserCategories, outcomes
from genrec.statistics.rows import GrowingRows
from genrec.statistics.statistics import Latest, Statistics, next_refresh
from genrec.statistics.sums import Sums

Terms = Callable[[np.ndarray, bool], tuple[np.ndarray, np.ndarray]]  # of questions; whether given a click


def replay(
    shown: pd.DataFrame, categories: Mapping[str, Sequence[str]], freeze_at: int, until: int
) -> tuple[dict[str, np.ndarray], Statistics]:
    """{"running", "frozen"}: (impressions, COLUMNS) read strictly before each one's question, and the latest state.

    Frozen statistics hold the facts matured before freeze_at, for every impression from then on; the latest state those
    matured before `until`, which is after the last question.
    """
    log, order = outcomes(shown, until)
    n, later = len(order), np.flatnonzero(log.asked > freeze_at)
    asked = Questions(
        np.concatenate([np.arange(n), later]), np.concatenate([log.asked, np.full(len(later), freeze_at)])
    )
    values, statistics = _Replay(log, asked, categories).run()
    running = np.empty((n, len(COLUMNS)))
    running[order] = values[:n]
    frozen = running.copy()
    frozen[order[later]] = values[n:]
    return {"running": running, "frozen": frozen}, statistics


class _Replay:
    """The first questions are those of the outcomes themselves, in their order."""

    def __init__(self, log: Outcomes, asked: Questions, categories: Mapping[str, Sequence[str]]) -> None:
        self.log, self.asked = log, asked
        self.statistics = Statistics(categories)
        self.users = log.users[asked.rows]
        n = log.learned
        of_users = Sums(log.users[:n], log.known[:n], self.users, asked.times)
        left = residuals(log)
        self.counts = count(log, asked, left, of_users, categories)
        self.histories = _UserOutcomes(log, of_users, left.of_neither)
        self.left = left
        self.neighbour_gain = np.zeros(len(asked.rows))
        click = np.arange(n), log.known[:n]
        inline = np.flatnonzero(log.click[:n] * log.inline[:n])
        late = log.click[log.late] > 0
        rows = np.concatenate([inline, log.late[late]])
        times = np.concatenate([log.known[inline], log.late_known[late]])
        convert = np.argsort(times, kind="stable")
        self.match = _Learner(self.statistics.match, log, log.click, *click, self.users, asked.times)
        self.match_convert = _Learner(
            self.statistics.match_convert,
            log,
            log.convert,
            rows[convert],
            times[convert],
            self.users,
            asked.times,
        )

    def run(self) -> tuple[np.ndarray, Statistics]:
        """(questions, COLUMNS), and the latest state."""
        log, asked, kernel = self.log, self.asked, self.statistics.kernel
        moments, known = refreshes(log.known[: log.learned])
        of_question = np.searchsorted(moments, asked.times)
        questions = np.split(
            np.argsort(of_question, kind="stable"),
            np.cumsum(np.bincount(of_question, minlength=len(moments) + 1))[:-1],
        )
        matches = np.empty((2, len(asked.rows)))
        contents = kernel.contents_of(log.item_ids)
        for number, some in enumerate(progress(questions, "statistics", "block")):
            slots = self.histories.slots[log.items[asked.rows[some]]]
            history = self.histories.asked(some)
            self.neighbour_gain[some] = kernel.expected(
                history[0], ItemQuestions(*history[1:], slots, contents[log.items[asked.rows[some]]])
            )
            until = moments[number] if number < len(moments) else None
            for match, learner in zip(matches, (self.match, self.match_convert), strict=True):
                match[some] = learner.block(some, until, self._terms)
            if until is not None:
                self.histories.learn(kernel, until)
                kernel.refresh()
                self.match.regression.refresh()
                self.match_convert.regression.refresh()
        self._fill(known)
        return self.counts.columns(self.neighbour_gain, *matches), self.statistics

    def _terms(self, questions: np.ndarray, given_click: bool) -> tuple[np.ndarray, np.ndarray]:
        counts: Counts = self.counts.at(questions)
        terms, own = counts.terms(self.neighbour_gain[questions])
        return (counts.given_click(terms) if given_click else terms), own

    def _fill(self, known: int) -> None:
        """Give the statistics the state after all that ever becomes known."""
        log, statistics = self.log, self.statistics
        n = log.learned
        users, items = (int(codes[:n].max(initial=-1)) + 1 for codes in (log.users, log.items))
        weighted = log.counted(log.grade[:n])
        statistics.total += weighted.sum(0)
        statistics.total[3:] += log.counted_late.sum(0)
        statistics.user_codes = {user: code for code, user in enumerate(log.user_ids[:users])}
        statistics.item_codes = {item: code for code, item in enumerate(log.item_ids[:items])}
        statistics.users = _summed(log, log.users, users, self.left.of_user)
        statistics.items = _summed(log, log.items, items, self.left.of_item)
        statistics.pair_codes, statistics.pairs = _of_categories(log, statistics.categories)
        statistics.known, statistics.next_refresh = n, next_refresh(known)
        statistics.latest = self.histories.latest()
        statistics.refreshed = {user for user, latest in statistics.latest.items() if latest.new}


def refreshes(known: np.ndarray) -> tuple[np.ndarray, int]:
    """known: (n,) ascending moments of outcomes. The moments of the refreshes, and how many outcomes were known at the
    last one."""
    moments, done = list[int](), 0
    while (due := next_refresh(done)) <= len(known):
        moments.append(int(known[due - 1]))
        done = int(np.searchsorted(known, moments[-1], side="right"))
    return np.array(moments, np.int64), done


class _UserOutcomes:
    """What the kernel is asked about and learns from: each user's outcomes in order."""

    def __init__(self, log: Outcomes, of_users: Sums, residuals: np.ndarray) -> None:
        self.log, self.residuals = log, residuals[of_users.order]
        self.order, self._of_users = of_users.order, of_users  # by user, then as they became known
        self.slots = np.full(len(log.item_ids), -1)  # by item
        self._items = log.items[self.order]
        self._slots = self.slots[self._items]  # by outcome
        self._per_user = np.bincount(log.users[: log.learned], minlength=len(log.user_ids))
        self.begin = np.cumsum(self._per_user) - self._per_user
        self.known = np.zeros(len(log.user_ids), np.int64)  # outcomes of each user at the last refresh
        self.weight_of_items = np.zeros(len(log.item_ids))
        self.done = 0  # outcomes at the last refresh

    def asked(self, questions: np.ndarray) -> tuple[OutcomeRuns, np.ndarray, np.ndarray]:
        """The histories that some questions look at; each one's number, and how many of its outcomes it sees."""
        begin, length, number, sees = windows(
            self._of_users.first[questions], self._of_users.counts[questions]
        )
        return OutcomeRuns(self._slots, self.residuals, begin, length), number, sees

    def learn(self, kernel: ItemKernel, until: int) -> None:
        """Give the kernel the outcomes up to and at a moment that it has not had."""
        log = self.log
        end = int(np.searchsorted(log.known[: log.learned], until, side="right"))
        new = slice(self.done, end)
        self.weight_of_items += np.bincount(log.items[new], log.weight[new], len(log.item_ids))
        items = np.flatnonzero((self.slots < 0) & (self.weight_of_items >= MIN_COUNT))
        kernel.track(log.item_ids[item] for item in items)
        if len(items):
            self.slots[items] = kernel.slots_of([log.item_ids[item] for item in items])
            self._slots = self.slots[self._items]
        before = self.known.copy()
        self.known += np.bincount(log.users[new], minlength=len(self.known))
        users = np.flatnonzero(self.known > before)
        count = self.known[users]
        start = window_start(count)
        length = count - start
        histories = OutcomeRuns(self._slots, self.residuals, self.begin[users] + start, length)
        kernel.learn(histories, np.minimum(count - before[users], length))
        self.done = end

    def latest(self) -> dict[str, Latest]:
        """Of every user at the end."""
        log = self.log
        names = np.array(log.item_ids, dtype=object)[self._items]
        clicks, weights = log.click[self.order], log.weight[self.order]
        latest = {}
        for user in np.flatnonzero(self._per_user):
            count = int(self._per_user[user])
            window = slice(self.begin[user] + int(window_start(np.array(count))), self.begin[user] + count)
            latest[log.user_ids[user]] = Latest(
                count,
                count - int(self.known[user]),
                names[window].tolist(),
                self.residuals[window].tolist(),
                clicks[window].tolist(),
                weights[window].tolist(),
            )
        return latest


class _Learner:
    """A regression that goes through the log: rows, times are those of the outcomes that it learns from, in order, and
    outcome is what it learns of each row."""

    def __init__(
        self,
        regression: ForwardLogistic,
        log: Outcomes,
        outcome: np.ndarray,
        rows: np.ndarray,
        times: np.ndarray,
        users: np.ndarray,
        asked: np.ndarray,
    ) -> None:
        self.regression, self.log, self.outcome = regression, log, outcome
        self.given_click = outcome is log.convert
        self.rows, self.times, self.users = rows, times, users
        self.latest = Sums(log.users[rows], times, users, asked).latest()
        self.odds = np.zeros(
            len(log.users)
        )  # of the shared weights, as they stood when an outcome was asked about
        self.done = 0
        regression.make_room(len(log.user_ids))

    def block(self, questions: np.ndarray, until: int | None, terms: Terms) -> np.ndarray:
        """(questions,) probabilities; and learn from the outcomes that became known up to a moment and at it."""
        x, own = terms(questions, self.given_click)
        odds = self.regression.shared_odds(x)
        are_outcomes = questions < len(self.odds)
        self.odds[questions[are_outcomes]] = odds[are_outcomes]
        means = self.regression.means.values[self.users[questions]]
        start = self.done
        end = len(self.times) if until is None else int(np.searchsorted(self.times, until, side="right"))
        if end > start:
            rows = self.rows[start:end]
            y, weight = self.outcome[rows], self.log.weight[rows]
            x, z = terms(rows, self.given_click)
            before, after = self.regression.follow(self.log.users[rows], z, self.odds[rows], y, weight)
            self.regression.wait(x, before, y, weight)
            latest = self.latest[questions]
            here = latest >= start
            means[here] = after[latest[here] - start]
        self.done = end
        return probability(odds + (own * means).sum(1))


def _summed(log: Outcomes, keys: np.ndarray, size: int, third: np.ndarray) -> GrowingRows:
    """[count, clicks, residuals, converts, outcomes of conversion] of each user or item."""
    values = np.zeros((size, 5))
    np.add.at(values, keys[: log.learned], log.counted(third))
    np.add.at(values[:, 3:], keys[log.late], log.counted_late)
    return GrowingRows.of(values)


def _of_categories(
    log: Outcomes, categories: Mapping[str, Sequence[str]]
) -> tuple[dict[tuple[str, str], int], GrowingRows]:
    """[count, clicks] of each user in each category of the items that the user met."""
    of_users = UserCategories(log, categories)
    rows, keys = of_users.of(np.arange(log.learned))
    names = of_users.names
    known, place = np.unique(keys, return_inverse=True)
    values = np.zeros((len(known), 2))
    np.add.at(values, place, np.column_stack([log.weight, log.weight * log.click])[rows])
    users, of = np.divmod(known, max(len(names), 1))
    named = zip(users.tolist(), of.tolist(), strict=True)
    codes = {(log.user_ids[user], names[category]): code for code, (user, category) in enumerate(named)}
    return codes, GrowingRows.of(values)
