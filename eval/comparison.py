"""One comparison: every model is asked the same examples of each task, and what is done is written at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval import harness
from eval.answers import asked
from eval.harness import Ask, Evaluation
from eval.lineup import lineup
from eval.options import Options
from eval.recommender import Recommender
from eval.report import write_report
from eval.report.conclusion import Commands, conclusion
from eval.report.markdown import markdown
from eval.results_file import in_file_names, write_result
from eval.store import Store
from genrec.chain import CTCVR
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.progress import Progress

Result = dict[str, Any]


class Comparison:
    """Results, one JSON a model, task and split, and the reports over all of them; both are written anew whenever a
    model is done with a task, so that a run that was killed leaves a page that says what is missing.

    tasks: all that will be measured, in their order. ours: names of the models to bring out. learning: the training log
    for the report. describe: adds to a result what is known of how its model was made. commands: what a reader can type
    next.
    """

    def __init__(
        self,
        data: Prepared,
        options: Options,
        out: Path,
        tasks: Sequence[str],
        ours: Sequence[str] = (),
        learning: Sequence[Mapping[str, Any]] = (),
        describe: Callable[[Result], Result] = dict,
        commands: Commands | None = None,
    ) -> None:
        self.data, self.options, self.out, self.tasks = data, options, out, tasks
        self.ours, self.learning, self.describe, self.commands = (
            ours,
            learning,
            describe,
            commands or Commands(),
        )
        self.store = Store(out / "answers")
        self.results: dict[Path, Result] = {}
        self._fitted: dict[str, Recommender] = {}

    def baselines(self, task: str) -> list[Recommender]:
        """Those of a task, the plainest first, not fitted yet."""
        if not self.options.baselines:
            return []
        with Progress("loading the baselines"):
            options = self.options
            return [make() for make in lineup(self.data, task, options.seed, options.quick, options.history)]

    def ask(self, task: str) -> Ask:
        """What is asked of every model in a task."""
        options = self.options
        lists = task != CTCVR and self.data.tasks[task].kind == "item"
        return Ask(
            task,
            split=options.split,
            regime=options.regime,
            rows=options.list_rows if lists else options.rows,
            valid_rows=options.valid_rows or options.rows,
            users=options.users,
            ks=options.ks,
            seed=options.seed,
            repeats=options.repeats,
        )

    def measure(self, task: str, contestants: Sequence[Recommender]) -> list[Evaluation]:
        """Evaluate all on one task; the first is compared with each of the others, in pairs.

        A model is fitted once, on all its tasks: a later one of the same name is taken to be the same.
        """
        done: list[Evaluation] = []
        for number, contestant in enumerate(contestants):
            print(f"{task}: {contestant.name}", flush=True)
            with Progress(f"{task}, {contestant.name}"):
                recommender = self._fitted.setdefault(contestant.name, contestant)
                if recommender is contestant:
                    recommender.fit(self.data, self.options.regime)
                done.append(harness.evaluate(recommender, self.data, self.ask(task), self.store))
                if number:
                    self._pair(done[0], done[-1])
                self._keep(done[-1].result)
                self.report(self._pending(task, [other.name for other in contestants[number + 1 :]]))
        return done

    def _pair(self, first: Evaluation, last: Evaluation) -> None:
        """Compare two on the same examples; the first one's result says how."""
        options = self.options
        pairs = harness.compare(first.answers, last.answers, options.repeats, options.seed, options.ks[0])
        first.result["paired"] += [{"against": last.result["model"], **pair} for pair in pairs]
        self._keep(first.result)

    def report(self, pending: Sequence[str] = ()) -> None:
        """Write the reports of what is done. pending: what is still to come."""
        write_report(
            list(self.results.values()), self.out, learning=self.learning, title=f"genrec on {self.data.name}",
            ours=self.ours, pending=pending, words=self.words(pending),
        )  # fmt: skip

    def words(self, pending: Sequence[str] = ()) -> str:
        """The verdict on what is done so far. pending: what is still to come."""
        return conclusion(list(self.results.values()), next(iter(self.ours), ""), self.commands, pending)

    def finish(self) -> list[Result]:
        """Print the tables, where the report lies, and the verdict in words; returns the results."""
        results = list(self.results.values())
        print("\n" + markdown(results, f"genrec on {self.data.name}"))
        print(f"report: {self.out / 'report.html'}\n\n{self.words()}")
        return results

    def _pending(self, task: str, names: Iterable[str]) -> list[str]:
        """What is missing of this task, and the tasks after it."""
        left = list(names)
        after = self.tasks[list(self.tasks).index(task) + 1 :]
        return [*([f"{task} ({', '.join(left)})"] if left else []), *after]

    def _keep(self, result: Result) -> None:
        path = self.out / result_name(self.data.name, result)
        whole = {**result, "tabular_history_lines": self.options.history}
        self.results[path] = write_result(self.describe(whole), path)


def result_name(data: str, result: Mapping[str, Any]) -> str:
    """The file of one result: data, task, split, frozen statistics and model."""
    regime = "-frozen" if result["regime"] == "frozen" else ""
    return f"{data}-{result['task']}-{result['split']}{regime}-{in_file_names(result['model'])}.json"


def chosen_tasks(data: Prepared, options: Options) -> list[str]:
    """The tasks to measure: those that were named, or all that have examples in the split; says which have none.

    Raises UserError for a task that is not there and where there is nothing to judge by.
    """
    known = harness.tasks(data)
    if unknown := set(options.tasks) - set(known):
        raise UserError(f"No task {min(unknown)!r}", cure=f"use one of: {', '.join(known)}")
    counts = {task: len(asked(data, task, options.split).rows) for task in options.tasks or known}
    empty = [task for task, count in counts.items() if not count]
    if len(empty) == len(counts) or (options.tasks and empty):
        raise UserError(
            f"No examples of {', '.join(empty)} in the {options.split} split",
            where=data.name,
            cure="their windows may run past the split's end: name other tasks, or prepare a longer log or other "
            "fractions; `genrec data check` counts the examples of each split",
        )
    for task in empty:
        print(
            f"{task}: no examples in the {options.split} split (their windows may run past its end); left out"
        )
    return [task for task in counts if task not in empty]
