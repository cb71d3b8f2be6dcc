"""The prompt layout: context (head, history lines), question, answer, as token ids. The only place that writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from genrec.errors import UserError
from genrec.statistics import COLUMNS
from genrec.statistics.co_occurrence import named
from genrec.tasks import Task
from prompts.pack import Pack
from prompts.templates import END, Templates, as_data, level
from prompts.tokens import Tokens

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Question:
    """ids follow a context; the probability is read at the last position, over `answers` (token ids, the task's order)
    or, where `over` is "vocabulary", over the whole vocabulary. ids may be empty: then the context's end is read."""

    ids: Ids
    answers: Ids
    over: str = "answers"


@dataclass(frozen=True)
class Known:
    """What a question may say about its subject: a row of Prepared.stats, horizon and gap in days.

    stats None: no statistics are written.
    """

    stats: Mapping[str, Any] | None = None
    horizon_days: float | None = None
    gap_days: float | None = None

    @classmethod
    def of(cls, stats: Mapping[str, Any] | None, horizon_days: float, gap_days: float) -> "Known":
        """From columns of Prepared.examples, NaN where there is none; both are said without statistics too."""
        horizon, gap = (None if np.isnan(days) else float(days) for days in (horizon_days, gap_days))
        return cls(stats, horizon, gap)

    @property
    def in_words(self) -> bool:
        """Whether a free wording can ask it: none says that a window begins later."""
        return not self.gap_days


class Layout:
    """Writes one data set's prompts. Items and users: column name -> value, by id; unknown ids are cold, not errors."""

    def __init__(
        self,
        tokens: Tokens,
        pack: Pack,
        tasks: Mapping[str, Task],
        items: Mapping[str, Mapping[str, Any]],
        users: Mapping[str, Mapping[str, Any]],
        log: str = "shown",
    ) -> None:
        """log: what the history is of, as genrec.lines.log_kind says; templates see it."""
        self.tokens, self.pack, self.log = tokens, pack, log
        self.tasks = {name: pack.worded(task) for name, task in tasks.items()}
        self.items, self.users = items, users
        self._templates = Templates(tokens)
        self.answers = {name: self._answer_ids(task) for name, task in self.tasks.items()}
        self.newline = tokens.literal("\n")

    def _answer_ids(self, task: Task) -> Ids:
        """The first token of each answer; refused where two share it, since then they could not be told apart."""
        firsts = tuple(self.tokens.literal(a)[0] for a in task.answers)
        for k, first in enumerate(firsts):
            if first in firsts[:k]:
                raise UserError(
                    f"Answers {task.answers[firsts.index(first)]!r} and {task.answers[k]!r} share their first token",
                    where=f"task {task.name!r}, answers",
                    cure="choose words that begin differently for this model's tokenizer",
                )
        return firsts

    # ---- context ----------------------------------------------------------------------------------------

    def head(self, user_id: str) -> Ids:
        """Instruction and user profile; nothing in it changes from one request to the next."""
        user = as_data(self.users.get(user_id, {}))
        return self._templates.ids(
            self.pack.head, f"pack {self.pack.name}, head", user=user, words=self.pack.words, log=self.log
        )

    def line(self, line: Mapping[str, Any], with_stats: bool = True, days: float | None = None) -> Ids:
        """One history line (a row of Prepared.lines). days: since the line before it, for purchases."""
        kind = line["kind"]
        if kind == "impression":
            return self._answered(line, with_stats) + self.newline
        item = self._item(line["item_id"]) if line["item_id"] and self.log != "purchases" else None
        ids = self._templates.ids(
            self.pack.lines[kind],
            f"pack {self.pack.name}, lines.{kind}",
            item=item,
            days=days,
            value=as_data(float(line["value"])),
            words=self.pack.words,
            log=self.log,
        )
        return ids + self.newline

    def _answered(self, line: Mapping[str, Any], with_stats: bool) -> Ids:
        """An impression as the click question it was, its answer, and the convert answer where it was known."""
        click = self.tasks["click"]
        ids = self.click_question(line["item_id"], line if with_stats else None)
        ids += self.tokens.literal(click.answers[1 - int(line["click"])])
        convert = self.tasks.get("convert")
        if convert is not None and line["click"] and line["convert"] >= 0:
            ids += self._rendered(convert, line["item_id"], Known(line if with_stats else None))
            ids += self.tokens.literal(convert.answers[1 - int(line["convert"])])
        return ids

    # ---- questions --------------------------------------------------------------------------------------

    def click_question(self, item_id: str, stats: Mapping[str, Any] | None) -> Ids:
        return self._rendered(self.tasks["click"], item_id, Known(stats))

    def question(
        self, task: str, item_id: str = "", known: Known | None = None, query: str | None = None
    ) -> Question:
        """A task's question in its trained wording, or in the words of `query` (not for one that continues another)."""
        known = known or Known()
        chosen = self.tasks[task]
        if query is not None:
            if chosen.given is not None:
                raise UserError(
                    f"{task} continues {chosen.given}; free words cannot say that first",
                    cure=f"ask {task} in its own wording",
                )
            return Question(self._asked(item_id, known, query), self.answers[task])
        if chosen.kind == "item":
            return Question(self._rendered(chosen, "", known), (), over="vocabulary")
        ids = self._rendered(chosen, item_id, known)
        if chosen.given is not None:
            before = self.tasks[chosen.given]
            ids = self._rendered(before, item_id, known) + self.tokens.literal(before.answers[0]) + ids
        return Question(ids, self.answers[task])

    def item(self, item_id: str) -> Ids:
        """An item's own tokens and its end token: what next-item probabilities multiply along."""
        return self.tokens.data(self._title(item_id)) + self.tokens.literal(END)

    def wording(self, task: str, template: str, known: Known) -> str:
        """A paraphrase as text, its words and horizon filled in."""
        ids = self._templates.ids(
            template, f"task {task}, paraphrases", words=self.pack.words, horizon_days=known.horizon_days,
            gap_days=known.gap_days,
        )  # fmt: skip
        return self.tokens.text(ids)

    def _asked(self, item_id: str, known: Known, query: str) -> Ids:
        where = f"pack {self.pack.name}, ask"
        item = self._item(item_id) if item_id else None
        return self._templates.ids(
            self.pack.ask,
            where,
            item=item,
            query=as_data(query),
            stats=self._numbers(known.stats),
            shares=self._shares(known.stats),
            words=self.pack.words,
            log=self.log,
        )

    def _rendered(self, task: Task, item_id: str, known: Known) -> Ids:
        if not task.question:
            return ()
        return self._templates.ids(
            task.question,
            f"task {task.name}, question",
            item=self._item(item_id),
            candidates=[self._item(i) for i in named((known.stats or {}).get("candidates", ""))],
            stats=self._numbers(known.stats),
            shares=self._shares(known.stats),
            horizon_days=known.horizon_days,
            gap_days=known.gap_days,
            words=self.pack.words,
            log=self.log,
        )

    def _shares(self, stats: Mapping[str, Any] | None) -> str:
        """The two levels of a question about an item: how many like it, how many would be expected of this user.

        Without a click task they would say that hardly anyone does, so they are not written.
        """
        if stats is None or "click" not in self.tasks or np.isnan(stats.get("item_share", np.nan)):
            return ""
        return f"{level(stats['item_share'])} {level(stats['match_share'])}"

    def _numbers(self, stats: Mapping[str, Any] | None) -> dict[str, float | None]:
        """Statistics for templates: missing ones are None, never NaN; of clicks none, where there is no click task."""
        if stats is None:
            return _Absent()
        unsaid = () if "click" in self.tasks else COLUMNS
        return {
            k: None if k in unsaid or (isinstance(v, float) and np.isnan(v)) else v
            for k, v in stats.items()
            if isinstance(v, (int, float))
        }

    def _item(self, item_id: str) -> Any:
        return as_data({**self.items.get(item_id, {}), "title": self._title(item_id)})

    def _title(self, item_id: str) -> str:
        return str(self.items.get(item_id, {}).get("title") or f"Item {item_id}")


class _Absent(dict[str, float | None]):
    """Every statistic is None: what a template sees where none are to be written."""

    def __missing__(self, key: str) -> None:
        return None


def line_days(times: Sequence[int]) -> list[float | None]:
    """Days since the line before, None for the first. times: microseconds."""
    return [None, *((b - a) / 86_400e6 for a, b in pairwise(times))][: len(times)]
