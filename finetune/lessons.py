"""Lessons in reading levels: made-up lines whose answers are drawn from the very shares that they state.

A log shows the middle of the scale ten times for each time it shows an end, and a small model that has seen a letter a
few hundred times does not know what it means. In a lesson every level is as common as any other, from the least to the
greatest of the log and some way beyond: what is stated tomorrow may be less or more than anything so far.
"""

from collections.abc import Iterator

import numpy as np
from scipy.special import expit, logit

from finetune.mixture import Mixture, Prompt, Read, asked_prompt
from genrec.chain import CHAIN, chained
from genrec.stated import stated
from genrec.tasks import Task
from prompts.layout import Known
from prompts.templates import HIGHEST, LOWEST

RETURNS = 16  # questions about returns in one lesson
BEYOND = 1.0  # log-odds past the least and the greatest share of the log
PARAPHRASED = 0.25  # share of a lesson's questions asked in a paraphrase, where the task has some


class Lessons:
    """Made from a mixture's catalog, users, wordings and training examples; the same seed gives the same lessons."""

    def __init__(self, mixture: Mixture) -> None:
        self.mixture, self.layout, self.data = mixture, mixture.layout, mixture.data
        self.items, self.users = list(self.layout.items), list(self.layout.users)
        self.stats = self.data.stats[mixture.options.regime]
        rows = {task.name: self.data.rows(task.name, "train") for task in mixture.tasks if stated(task)}
        self.rows = {name: at for name, at in rows.items() if len(at)}
        self.range = {
            name: _range(self.stats[str(stated(self.layout.tasks[name]))].to_numpy(np.float64)[at])
            for name, at in self.rows.items()
        }

    def windows(self, count: int) -> Iterator[list[Prompt]]:
        """The prompts of each lesson; none where no task of the data states a share."""
        for number in range(count if self.rows else 0):
            rng = np.random.default_rng((self.mixture.options.seed, number))
            user = self.users[rng.integers(len(self.users))] if self.users else ""
            head = np.asarray(self.layout.head(user), np.int64)
            yield [*self._lines(head, rng), *self._returns(head, rng)]

    def _lines(self, context: np.ndarray, rng: np.random.Generator) -> Iterator[Prompt]:
        """A history of random items as long as a window, asked line by line."""
        click, convert = (self.layout.tasks.get(name) for name in CHAIN)
        if click is None or click.name not in self.rows or not self.items:
            return
        full = len(context) + self.mixture.histories.history_tokens
        while len(context) < full:
            item = self.items[rng.integers(len(self.items))]
            shares = {name: self._share(click, rng) for name in ("item_share", "match_share")}
            clicked = int(rng.random() < shares["match_share"])
            yield self._prompt(click, context, item, Known(shares), clicked, rng)
            bought = -1
            if clicked and convert is not None and convert.name in self.rows and chained(self.layout.tasks):
                shares["match_convert_share"] = self._share(convert, rng)
                bought = int(rng.random() < shares["match_convert_share"])
                yield self._prompt(convert, context, item, Known(shares), bought, rng)
            line = {"kind": "impression", "item_id": item, "click": clicked, "convert": bought, **shares}
            context = np.concatenate([context, np.asarray(self.layout.line(line), np.int64)])

    def _returns(self, head: np.ndarray, rng: np.random.Generator) -> Iterator[Prompt]:
        """Training questions about returns, without their history, and with another share of similar askings."""
        for name, rows in self.rows.items():
            task = self.layout.tasks[name]
            if task.label["rule"] != "returns":
                continue
            for row in rng.choice(rows, RETURNS):
                example = self.data.examples.iloc[row]
                share = self._share(task, rng)
                stats = {**self.stats.iloc[row].to_dict(), str(stated(task)): share}
                known = Known.of(stats, example.horizon_days, example.gap_days)
                yield self._prompt(task, head, "", known, int(rng.random() < share), rng)

    def _prompt(
        self, task: Task, context: np.ndarray, item: str, known: Known, label: int, rng: np.random.Generator
    ) -> Prompt:
        assert known.stats is not None
        query = None
        if task.paraphrases and rng.random() < PARAPHRASED and known.in_words:
            query = self.layout.wording(
                task.name, task.paraphrases[rng.integers(len(task.paraphrases))], known
            )
        question = self.layout.question(task.name, item, known, query=query)
        target = self.layout.answers[task.name][task.answer_index(label)]
        read = Read(-1, self.mixture.number[task.name], target, stated=known.stats[str(stated(task))])
        return asked_prompt(context, question.ids, read)

    def _share(self, task: Task, rng: np.random.Generator) -> float:
        """One whose log-odds is uniform over the range of the task's training examples, and BEYOND."""
        return float(expit(rng.uniform(*self.range[task.name])))


def _range(shares: np.ndarray) -> tuple[float, float]:
    """From BEYOND the least to BEYOND the greatest log-odds of shares, those unknown left out, as far as letters go and
    BEYOND: the letters at the ends stand for all that is less or more."""
    known = shares[~np.isnan(shares)]
    odds = logit(known) if len(known) else np.zeros(1)
    low, high = np.clip((odds.min() - BEYOND, odds.max() + BEYOND), LOWEST - BEYOND, HIGHEST + BEYOND)
    return float(low), float(high)
