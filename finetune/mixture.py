"""The mixture: every task's training prompts, gathered by user and window and packed where they share a context."""

import zlib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from genrec.chain import CHAIN
from genrec.dataset import Prepared
from genrec.progress import progress
from genrec.stated import stated
from genrec.statistics.co_occurrence import CANDIDATES, named
from genrec.tasks import Task
from prompts.history import Histories
from prompts.layout import Known, Layout
from prompts.packing import pack


@dataclass(frozen=True)
class Read:
    """One place where the loss is taken: the token after `position` is to be `target`, among `answers` or, where those
    are empty, among the whole vocabulary. task: its index in the mixture. weight: the inverse of the
    example's sampling rate, 0 for what is not the answer. stated: what the statistics expect, NaN where they say
    nothing: of yes or no the share of yes, of an item its probability, times that inverse."""

    position: int
    task: int
    target: int
    weight: float = 1.0
    stated: float = np.nan


@dataclass(frozen=True)
class Prompt:
    ids: np.ndarray  # (n,) int64, context and question (and, for items, all but the last answer token)
    reads: tuple[Read, ...]


@dataclass(frozen=True)
class MixtureOptions:
    """users: the share of users who are asked. shares: per task, the share of its examples that is asked, 1 where not
    named.
    stats_dropout: share of windows written without statistics. paraphrase_share: share of a task's examples asked
    a second time in a paraphrase. reread: the lines that a window begins with, asked in the window before, are asked
    again. lean: item questions are answered by each candidate that they state, too. regime: which statistics the
    questions carry."""

    users: float = 1.0
    shares: Mapping[str, float] = field(default_factory=dict)
    stats_dropout: float = 0.1
    paraphrase_share: float = 0.1
    reread: bool = False
    lean: bool = False
    regime: str = "running"
    seed: int = 0


class Mixture:
    """Builds training rows from a split of a prepared data set."""

    def __init__(self, data: Prepared, layout: Layout, histories: Histories, options: MixtureOptions) -> None:
        self.data, self.layout, self.histories, self.options = data, layout, histories, options
        self.tasks: list[Task] = [
            t for t in layout.tasks.values() if t.kind != "text" and t.label["rule"] != "none"
        ]
        self.number = {task.name: k for k, task in enumerate(self.tasks)}
        items = [task.name for task in self.tasks if task.kind == "item" and options.lean]
        self.by_rank = {name: shares_by_rank(data, name, options.regime) for name in items}

    def rows(
        self,
        split: str,
        packed: bool = True,
        users: Sequence[str] | None = None,
        chosen: Container[int] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Rows for `datasets`: one a window (packed) or one a prompt. Windows come in a stable order."""
        for prompts in self.windows(split, users, chosen):
            yield from rows_of(prompts, packed)

    def windows(
        self, split: str, users: Sequence[str] | None = None, chosen: Container[int] | None = None
    ) -> Iterator[list[Prompt]]:
        """The prompts of each (user, window), in the order of user ids and time. chosen: the numbers of those to be
        written, from 0; None for all."""
        examples = self._examples(split, users)
        stats = self.data.stats[self.options.regime].loc[examples.index].to_dict("records")
        records = examples.to_dict("records")
        places = examples.groupby(["user_id", "start"], sort=True).indices
        reread = Reread(examples, self.data.lines) if self.options.reread and split == "train" else None
        shown = progress(places.items(), f"prompts ({split})", "window")
        for number, ((user, start), at) in enumerate(shown):
            if chosen is not None and number not in chosen:
                continue
            with_stats = self._share("statistics", user, start) >= self.options.stats_dropout
            again = reread.among(user, start, min(records[i]["point"] for i in at)) if reread else []
            yield [
                *(p for i in at for p in self.prompts(records[i], stats[i], with_stats)),
                *(self._prompt(records[i], stats[i], with_stats, start) for i in again),
            ]

    def windows_of(self, split: str) -> list[tuple[str, int]]:
        """(user, first line) of each window, as `windows` yields them."""
        return list(self._examples(split, None).groupby(["user_id", "start"], sort=True).indices)

    def _examples(self, split: str, users: Sequence[str] | None) -> pd.DataFrame:
        """The split's examples of the mixture's tasks, with the first line of the window each stands in."""
        every = self.data.examples
        chosen = (every.split == split) & every.task.isin(self.number)
        if self.options.users < 1:
            asked = {u for u in every.user_id.unique() if self._share("user", u) < self.options.users}
            chosen &= every.user_id.isin(asked)
        for task, share in self.options.shares.items():
            drawn = [
                self._share("kept", task, u, ts) < share
                for u, ts in zip(every.user_id, every.ts, strict=True)
            ]
            chosen &= (every.task != task) | np.array(drawn)
        examples = every[chosen if users is None else chosen & every.user_id.isin(set(users))]
        points = list(zip(examples.user_id, examples.point, strict=True))
        starts = [self.histories.start(u, p) for u, p in progress(points, f"histories ({split})", "example")]
        return examples.assign(start=starts)

    def prompts(self, example: dict[str, Any], stats: dict[str, float], with_stats: bool) -> Iterator[Prompt]:
        """An example's prompt in its task's wording and, for some, in a paraphrase."""
        task = self.layout.tasks[example["task"]]
        context = self.histories.context(example["user_id"], example["point"], with_stats)
        number = self.number[task.name]
        known = Known.of(stats if with_stats else None, example["horizon_days"], example["gap_days"])
        if task.kind == "item":
            opening = np.asarray(self.layout.question(task.name, known=known).ids, np.int64)
            context = np.concatenate([context, opening])
            expected = self._expected(task.name, example, known)
            for item, share in expected.items():
                weight = example["weight"] * (item == example["item_id"])
                yield item_prompt(context, self.layout.item(item), number, weight, example["weight"] * share)
            return
        own = self._prompt(example, stats, with_stats)
        yield own
        chance = self._share(task.name, example["user_id"], example["ts"], example["item_id"])
        if task.paraphrases and chance < self.options.paraphrase_share and known.in_words:
            pick = int(chance * 1e6) % len(task.paraphrases)
            query = self.layout.wording(task.name, task.paraphrases[pick], known)
            asked = self.layout.question(task.name, example["item_id"], known, query=query)
            yield asked_prompt(context, asked.ids, own.reads[0])

    def _prompt(
        self, example: dict[str, Any], stats: dict[str, float], with_stats: bool, start: int | None = None
    ) -> Prompt:
        """An example in its task's own wording, behind its own window or the lines from `start` on."""
        task = self.layout.tasks[example["task"]]
        context = self.histories.context(example["user_id"], example["point"], with_stats, start)
        known = Known.of(stats if with_stats else None, example["horizon_days"], example["gap_days"])
        question = self.layout.question(task.name, example["item_id"], known)
        target, column = self.layout.answers[task.name][task.answer_index(example["label"])], stated(task)
        share = np.nan if column is None else stats[column]
        return asked_prompt(
            context, question.ids, Read(-1, self.number[task.name], target, example["weight"], share)
        )

    def _expected(self, task: str, example: dict[str, Any], known: Known) -> dict[str, float]:
        """The answer of a question about items and the candidates that a training question states, with the
        probability that each has by its rank alone; NaN, of the answer alone, where none are stated."""
        answer = example["item_id"]
        stated = named((known.stats or {}).get("candidates", ""))
        if not stated or task not in self.by_rank or example["split"] != "train":
            return {answer: np.nan}
        shares = self.by_rank[task][: len(stated)]
        return {answer: 0.0, **dict(zip(stated, (shares / shares.sum()).tolist(), strict=True))}

    def _share(self, *parts: Any) -> float:
        """A number in [0, 1) that depends on the seed and the parts alone, not on the order of the work."""
        return zlib.crc32("\t".join(map(str, (self.options.seed, *parts))).encode()) / 2**32


class Reread:
    """Examples that are a line of the history itself, to be read where the line stands in a later window.

    Such a window begins with lines that were asked in the one before: as questions after less history they stand in
    the trunk already and cost no token. An impression of one moment with another one is left out, for its line comes
    after one that it must not see.
    """

    def __init__(self, examples: pd.DataFrame, lines: pd.DataFrame) -> None:
        mine = dict(iter(lines.groupby("user_id", sort=False)))
        self._places: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        of_chain = examples.reset_index(drop=True)
        of_chain = of_chain[of_chain.task.isin(CHAIN)]
        for user, part in of_chain.groupby("user_id", sort=False):
            held = _is_its_line(part, mine[user]) if user in mine else np.zeros(len(part), np.bool_)
            self._places[str(user)] = part.index.to_numpy()[held], part.point.to_numpy()[held]

    def among(self, user: str, start: int, before: int) -> list[int]:
        """Places in examples of those that are lines start <= line < before."""
        places, points = self._places.get(user, (np.zeros(0, np.int64), np.zeros(0, np.int64)))
        return [int(place) for place in places[(points >= start) & (points < before)]]


def _is_its_line(examples: pd.DataFrame, lines: pd.DataFrame) -> np.ndarray:
    """(n,) bool: the line at the example's point is the example, answered. One user's."""
    points = examples.point.to_numpy()
    at = np.minimum(points, len(lines) - 1)
    same = lines.impression.to_numpy()[at] == examples.impression.to_numpy()
    shown = lines.kind.to_numpy()[at] == "impression"
    said = (examples.task.to_numpy() == CHAIN[0]) | (lines.convert.to_numpy()[at] >= 0)
    return np.asarray((points < len(lines)) & same & shown & said, dtype=np.bool_)


def asked_prompt(context: np.ndarray, question: Sequence[int], read: Read) -> Prompt:
    """The read is moved to the end of the question."""
    ids = np.concatenate([context, np.asarray(question, np.int64)])
    return Prompt(ids, (replace(read, position=len(ids) - 1),))


def item_prompt(
    context: np.ndarray, item: Sequence[int], task: int, weight: float, stated: float = np.nan
) -> Prompt:
    """Every token of the item is read, its end token too."""
    ids = np.concatenate([context, np.asarray(item[:-1], np.int64)])
    before = len(context) - 1
    return Prompt(ids, tuple(Read(before + k, task, token, weight, stated) for k, token in enumerate(item)))


def shares_by_rank(data: Prepared, task: str, regime: str) -> np.ndarray:
    """(CANDIDATES,) how often each place of the stated list held the answer, of the training answers that it held;
    each has one hit more than it had, so that none is impossible."""
    rows = data.rows(task, "train")
    lists, answers = data.stats[regime].candidates.to_numpy()[rows], data.examples.item_id.to_numpy()[rows]
    hits = np.ones(CANDIDATES)
    for candidates, answer in zip(map(named, lists), answers, strict=True):
        if answer in candidates:
            hits[candidates.index(answer)] += 1
    shares: np.ndarray = hits / hits.sum()
    return shares


def rows_of(prompts: Sequence[Prompt], packed: bool) -> list[dict[str, Any]]:
    """One row of a window's prompts, or one a prompt."""
    return [packed_row(prompts)] if packed else [packed_row([p]) for p in prompts]


def packed_row(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """One row of the training set: the packed tokens and the reads of all prompts, placed among them."""
    packed = pack([p.ids for p in prompts])
    reads = [(packed.prompts[i].place(r.position), r) for i, p in enumerate(prompts) for r in p.reads]
    return {
        "input_ids": packed.input_ids, "position_ids": packed.position_ids, "segment": packed.segment,
        "fork": packed.fork,
        "read_place": np.array([place for place, _ in reads], np.int64),
        "read_task": np.array([read.task for _, read in reads], np.int64),
        "read_target": np.array([read.target for _, read in reads], np.int64),
        "read_weight": np.array([read.weight for _, read in reads], np.float32),
        "read_stated": np.array([read.stated for _, read in reads], np.float32),
    }  # fmt: skip
