"""A prepared data set: tables, tasks, history lines, labelled and split examples, statistics at their times."""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from genrec import lines
from genrec.durations import microseconds
from genrec.errors import UserError
from genrec.fields import read_stored
from genrec.files import NEW, folders_written_whole, temporary
from genrec.labelled import LabelledLog, label
from genrec.observed import end_of
from genrec.reading import Loaded, Reading
from genrec.some_rows import GROUP, numbered, of_user
from genrec.statistics import COLUMNS, Statistics, snapshot
from genrec.statistics.co_occurrence import Followers, joinable
from genrec.statistics.co_occurrence import replay as followed
from genrec.statistics.replay import replay
from genrec.tables import Tables
from genrec.tasks import Task, task_from
from genrec.visits import VISIT_COLUMNS, told, visits

REGIMES = ("running", "frozen")
FORMAT = 8
GENERATION = "generation"  # the file in tables/ that says with which prepared/ it was written
TABLES, PREPARED = "tables", "prepared"  # the two folders of a data set
LINES, EXAMPLES, LATEST = "lines.parquet", "examples.parquet", "statistics_latest.npz"
READING = {
    "name": str, "pack": str, "tasks": [str], "labels": {str: dict}, "split": dict, "end": str, "time_zone": str,
    "note": str,
}  # fmt: skip
AGAIN = "run `genrec data prepare` again"


@dataclass
class Prepared:
    """examples and stats[regime] have the same rows; lines are sorted by user and by when they became known.

    train_end: microseconds UTC; what had matured before it is what training may know. user: whose rows alone are here,
    which answers every question about this user and none about another; None where everyone's are.
    """

    reading: Reading
    tables: Tables
    tasks: dict[str, Task]
    lines: pd.DataFrame
    examples: pd.DataFrame
    stats: dict[str, pd.DataFrame]
    train_end: int
    latest: Statistics | None = None  # at the log's end; read from `folder` when first asked for
    followers: dict[str, Followers] = field(default_factory=dict)  # per item task, likewise
    folder: Path | None = None
    generation: str = ""  # of what lies in `folder`: changes with any byte of it
    user: str | None = None

    @property
    def name(self) -> str:
        return self.reading.name

    def rows(self, task: str, split: str) -> np.ndarray:
        """Row numbers of one task's examples in one split, in time order."""
        chosen = (self.examples.task == task) & (self.examples.split == split)
        return np.flatnonzero(chosen.to_numpy())

    def fingerprint(self, regime: str) -> str:
        """Changes with any example, label, statistic, history line, task or column of an item or user."""
        found = hashlib.sha256(regime.encode())
        for frame in (self.examples, self.stats[regime], self.lines):
            found.update(pd.util.hash_pandas_object(frame).to_numpy().tobytes())
        for table in (self.tables.items, self.tables.users):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table.combine_chunks())
            found.update(sink.getvalue())
        found.update(repr(sorted(self.tasks.items())).encode())
        return found.hexdigest()

    def statistics_now(self) -> Statistics:
        """What is known at the log's end: what a question asked just after it may say."""
        if self.latest is None:
            path = self._kept(LATEST)
            with _readable(path):
                self.latest = snapshot.load(path, categories(self.tables))
        return self.latest

    def points_now(self) -> dict[str, int]:
        """How many of a user's lines are known at the log's end: the windows of what is left had not closed."""
        end = self._end()
        known = self.lines.user_id[self.lines.known_at <= end].value_counts()
        return {str(user): int(n) for user, n in known.items()}

    def _end(self) -> int:
        """Until when the log was observed, in microseconds UTC."""
        events = self.tables.events
        if self.user is not None:
            assert self.folder is not None
            events = pq.read_table(self.folder / TABLES / "events.parquet", columns=["ts"])
        return end_of(self.reading, events)

    def log_kind(self, tasks: Mapping[str, Task]) -> str:
        """What the history of the whole log is, with these tasks: one of genrec.lines.LOG_KINDS."""
        if self.user is None or "click" in tasks:
            return lines.log_kind(self.lines, tasks)
        return lines.log_kind(pd.read_parquet(self._kept(LINES), columns=lines.KIND_COLUMNS), tasks)

    def followers_now(self, task: str) -> Followers:
        """Which items are touched close to which after the whole log, as an item task means it."""
        if task not in self.followers:
            path = self._kept(f"followers_{task}.npz")
            if not path.exists():
                what, cure = f"This data set has no task {task!r}", "prepare it with that task"
                raise UserError(what, where=str(self.folder), cure=f"{cure}, or name another with --data")
            with _readable(path):
                self.followers[task] = snapshot.load_followers(path)
        return self.followers[task]

    def read_all(self) -> None:
        """Read now what is otherwise read when first asked for, and refused once the folder was prepared anew."""
        self.statistics_now()
        for task in _item_tasks(self.tasks):
            self.followers_now(task.name)

    def _kept(self, name: str) -> Path:
        """Where what is read when first asked for was written. Raises UserError where it is no longer of this set."""
        if self.folder is None:
            raise UserError(
                "This data set has no latest statistics", where=self.name, cure="prepare it again"
            )
        if _facts(self.folder)["generation"] != self.generation:
            what = "The data set was prepared anew since it was opened"
            raise UserError(
                what, where=str(self.folder), cure="give the command again, or start the server anew"
            )
        return self.folder / PREPARED / name

    def lines_in(self, regime: str) -> pd.DataFrame:
        """The history lines with that regime's statistics."""
        if regime == "running":
            return self.lines
        return self.lines.assign(**{name: self.lines[_line_column(name, regime)] for name in COLUMNS})

    def save(self, folder: Path) -> None:
        """Write `tables/` and `prepared/`, both whole or neither; each says in which generation it was written."""
        with folders_written_whole(folder, (TABLES, PREPARED)) as both:
            tables, part = both / TABLES, both / PREPARED
            tables.mkdir()
            part.mkdir()
            self.tables.write(tables)
            for name, frame in self._frames().items():
                frame.to_parquet(part / name, row_group_size=GROUP)
            _write_yaml(part / "tasks.yaml", [_plain(task) for task in self.tasks.values()])
            _write_yaml(part / "reading.yaml", _plain(self.reading))
            snapshot.save(self.statistics_now(), part / LATEST)
            for task in _item_tasks(self.tasks):
                followers = self.followers_now(task.name)
                snapshot.save_followers(followers, part / f"followers_{task.name}.npz")
            generation = _hash_of_files(both)
            (tables / GENERATION).write_text(generation)
            facts = {"format": FORMAT, "train_end": self.train_end, "generation": generation}
            (part / "prepared.json").write_text(json.dumps(facts))

    def _frames(self) -> dict[str, pd.DataFrame]:
        """What is written to prepared/, by the name of its file."""
        stats = {_statistics(regime): self.stats[regime] for regime in REGIMES}
        return {LINES: self.lines, EXAMPLES: self.examples, **stats}

    @classmethod
    def load(cls, folder: Path, user: str | None = None) -> "Prepared":
        """user: read what is known of this user alone, which takes a moment where the whole log takes long.

        Raises UserError where there is none, or it is of another version, damaged, or of two runs.
        """
        part = folder / PREPARED
        facts = _facts(folder)
        reading = read_stored(part / "reading.yaml", READING, AGAIN)
        stored = read_stored(part / "tasks.yaml", [dict], AGAIN)
        tasks = [task_from(raw, str(part / "tasks.yaml")) for raw in stored]
        with _readable(folder):
            if (folder / TABLES / GENERATION).read_text() != facts["generation"]:
                what = f"{TABLES}/ and {PREPARED}/ are of two runs of `genrec data prepare`"
                raise UserError(what, where=str(folder), cure=AGAIN)
            data = cls(
                reading=Reading(
                    **{**{name: reading[name] for name in READING}, "tasks": tuple(reading["tasks"])}
                ),
                tables=Tables.load(folder / TABLES, user),
                tasks={t.name: t for t in tasks},
                **_read_frames(part, user),
                train_end=facts["train_end"],
                folder=folder,
                generation=facts["generation"],
                user=user,
            )
        data._kept(LATEST)  # refuses what was replaced while it was read
        return data


def _read_frames(part: Path, user: str | None) -> dict[str, Any]:
    """The frames in prepared/, as Prepared's arguments. user: as Prepared.load takes it."""
    if user is None:
        stats = {regime: pd.read_parquet(part / _statistics(regime)) for regime in REGIMES}
        return {
            "lines": pd.read_parquet(part / LINES), "examples": pd.read_parquet(part / EXAMPLES), "stats": stats,
        }  # fmt: skip
    (history, _), (examples, numbers) = (of_user(part / name, user) for name in (LINES, EXAMPLES))
    stats = {regime: numbered(part / _statistics(regime), numbers) for regime in REGIMES}
    return {
        "lines": _frame(history), "examples": _frame(examples),
        "stats": {regime: _frame(table) for regime, table in stats.items()},
    }  # fmt: skip


def _frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(ignore_metadata=True)


def _statistics(regime: str) -> str:
    return f"statistics_{regime}.parquet"


def _facts(folder: Path) -> dict[str, Any]:
    """What prepared.json says. Raises UserError where there is none."""
    path = folder / PREPARED / "prepared.json"
    if not path.exists():
        cure = "name a folder that `genrec data prepare` wrote, or run that first"
        if any(folder.glob(f"{temporary(NEW)}*")):
            cure = f"its last `genrec data prepare` was killed or still runs: wait for it, or {AGAIN}"
        raise UserError("No prepared data set", where=str(folder), cure=cure)
    facts: dict[str, Any] = read_stored(
        path, {"format": int, "train_end": int, "generation": str}, AGAIN, FORMAT
    )
    return facts


def _hash_of_files(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What a library says of a file that is cut short or not there becomes a UserError."""
    try:
        yield
    except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
        raise UserError(f"The prepared data set is damaged: {error}", where=str(path), cure=AGAIN) from error


def _plain(thing: Reading | Task) -> dict[str, Any]:
    """As YAML can hold it; a date that YAML read without quotes becomes its text again."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(thing), default=str))
    return plain


def _write_yaml(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


def categories(tables: Tables) -> dict[str, Sequence[str]]:
    """item_id -> its categories, from the items table's `category` list column."""
    if "category" not in tables.items.column_names:
        return {}
    ids, lists = tables.items["item_id"].to_pylist(), tables.items["category"].to_pylist()
    return {i: tuple(c) for i, c in zip(ids, lists, strict=True) if c}


def prepare(loaded: Loaded, tasks: dict[str, Task]) -> Prepared:
    """Derive everything from the tables; also the statistics as they stand at the log's end."""
    return with_history(label(loaded, tasks))


def with_history(labelled: LabelledLog) -> Prepared:
    """A labelled log with its history lines and with the statistics of each line and example."""
    loaded, tasks, frame, shown, examples, end, train_end, _ = labelled
    joinable(loaded.tables.items["item_id"].to_pylist(), loaded.reading.name)
    history = lines.lines(frame, shown, tasks)
    examples["point"] = lines.points(examples, history)
    by_impression, final = replay(shown, categories(loaded.tables), train_end, end + 1)
    stats = _example_stats(by_impression, examples, frame, tasks, train_end)
    for regime, values in by_impression.items():
        columns = [_line_column(name, regime) for name in COLUMNS]
        history[columns] = _pick(values, history.impression.to_numpy())
    next_items = {
        t.name: _add_candidates(stats, t, examples, history, train_end, end + 1) for t in _item_tasks(tasks)
    }
    return Prepared(
        reading=loaded.reading, tables=loaded.tables, tasks=tasks, lines=history, examples=examples, stats=stats,
        train_end=train_end, latest=final, followers=next_items,
    )  # fmt: skip


def _pick(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """values[rows], NaN where the row is -1."""
    out = np.full((len(rows), values.shape[1]), np.nan)
    out[rows >= 0] = values[rows[rows >= 0]]
    return out


def _example_stats(
    by_impression: dict[str, np.ndarray],
    examples: pd.DataFrame,
    frame: pd.DataFrame,
    tasks: dict[str, Task],
    freeze_at: int,
) -> dict[str, pd.DataFrame]:
    """By regime the statistics of each example; candidates come later."""
    impressions = examples.impression.to_numpy(copy=True)
    # The target's own numbers would give it away.
    impressions[examples.task.isin([t.name for t in _item_tasks(tasks)])] = -1
    stats = {}
    for regime, values in by_impression.items():
        stats[regime] = pd.DataFrame(_pick(values, impressions), columns=list(COLUMNS))
        stats[regime][list(VISIT_COLUMNS)] = np.nan
        stats[regime]["candidates"] = ""
    for task in tasks.values():
        if task.label["rule"] == "returns":
            asked = examples[examples.task == task.name]
            gap = microseconds(task.label.get("session_gap", "12h"), f"task {task.name}, label.session_gap")
            event = task.label.get("event", "any")
            acts = frame if event == "any" else frame[frame.event == event]
            found = visits(acts, asked, gap)
            stats["running"].loc[asked.index, list(VISIT_COLUMNS)] = found
            stats["frozen"].loc[asked.index, list(VISIT_COLUMNS)] = told(asked, found, freeze_at)
    return stats


def _add_candidates(
    stats: dict[str, pd.DataFrame],
    task: Task,
    examples: pd.DataFrame,
    history: pd.DataFrame,
    train_end: int,
    until: int,
) -> Followers:
    """Write the `candidates` column of an item task's examples; returns the counts of what was known before `until`."""
    asked = examples[examples.task == task.name]
    found, followers = followed(history, lines.touches(history, task), asked, train_end, until)
    for regime, frame in stats.items():
        frame.loc[asked.index, "candidates"] = found[regime]
    return followers


def _item_tasks(tasks: dict[str, Task]) -> list[Task]:
    return [t for t in tasks.values() if t.kind == "item"]


def _line_column(name: str, regime: str) -> str:
    """Lines hold both regimes' statistics: the running ones under their own names."""
    return name if regime == "running" else f"{regime}_{name}"
