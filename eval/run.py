"""One evaluation, read down the page: ours trained and untrained, the baselines, pairs, calibration, reports."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval import harness
from eval.answers import asked
from eval.baselines.file import FilePredictions
from eval.harness import Ask, Evaluation
from eval.lineup import lineup
from eval.ours import Genrec
from eval.predictions import read_files, those_for
from eval.protocols import require
from eval.recommender import Recommender
from eval.report import write_report
from eval.results_file import in_file_names, trained, write_result
from eval.store import Store
from genrec.chain import CTCVR
from genrec.dataset import Prepared
from genrec.errors import UserError
from prompts.adapter import AdapterCard, histories_of, layout_of
from prompts.base_files import fingerprint
from prompts.language_model import load_tokenizer
from prompts.layout import Known
from serve.adapters import open_adapter
from serve.engines import open_engine
from serve.served import Served

OURS, UNTRAINED, WITHOUT = "genrec", "genrec untrained", "genrec without statistics"


@dataclass(frozen=True)
class Options:
    """What one run measures, and how much of it."""

    # The tasks to measure; all that can be where there are none.
    tasks: tuple[str, ...] = ()
    # Examples sampled per task, None for all.
    rows: int | None = None
    # How many users they are of, each with at most rows / users of them; None for whole users.
    users: int | None = None
    # Examples of the next item, which cost a catalog search each; None for all.
    list_rows: int | None = 500
    # "running" or "frozen" statistics; "" for those that the adapter was trained on.
    regime: str = ""
    # The protocol that the data must be split by; "" for any.
    protocol: str = ""
    # Files of other models' predictions.
    predictions: tuple[Path, ...] = ()
    # Whether the baselines take part.
    baselines: bool = True
    # Whether the untrained model takes part.
    untrained: bool = True
    # Whether the adapter is also measured with prompts that hold no statistics.
    without_stats: bool = False
    # Whether wordings kept out of training are measured.
    ask: bool = True
    # Whether the baselines search few settings only.
    quick: bool = False
    # What runs the model: a kind of serve.engines.
    engine: str = "auto"
    # The seed of samples, bootstrap and baselines.
    seed: int = 0
    # Resamples of the bootstrap.
    repeats: int = 1000


def evaluate(adapter: Path, data: Prepared, options: Options, out: Path) -> list[dict[str, Any]]:
    """Measure, write one JSON a model and task, the reports, and the calibration into the adapter's card."""
    tasks, files = _checked(AdapterCard.load(adapter), data, options)
    served = open_adapter(adapter, data, regime=options.regime, engine=options.engine)
    options = replace(options, regime=options.regime or served.card.regime)
    if options.regime != served.card.regime:
        print(
            f"measured on {options.regime} statistics, though the adapter was trained on {served.card.regime} ones: "
            "its stored calibration stays as it is"
        )
    own = options.regime == served.card.regime and _its_own(served.card, data)
    mark = served.card.fingerprint(adapter)
    contestants: list[Recommender] = [Genrec(OURS, served.layout, served.histories, served.engine, mark)]
    if options.without_stats:
        contestants.append(
            Genrec(WITHOUT, served.layout, served.histories, served.engine, mark, with_stats=False)
        )
    if options.untrained:
        contestants.append(untrained(served.card, data, options.regime, options.engine))
    store, baselines = Store(out / "answers"), dict[str, Recommender]()
    results: list[dict[str, Any]] = []
    calibration: dict[str, Any] = {}
    for task in tasks:
        done = _task(task, [*contestants, *those_for(task, files, data)], data, options, store, baselines)
        for evaluation in done[1:]:
            pairs = harness.compare(done[0].answers, evaluation.answers, options.repeats, options.seed)
            done[0].result["paired"] += [{"against": evaluation.result["model"], **pair} for pair in pairs]
        fitted = {name: line.to_json() for name, line in done[0].lines.items()}
        calibration |= _better_founded(fitted, served.card.calibration)
        for evaluation in done:
            name = f"{data.name}-{task}-{in_file_names(evaluation.result['model'])}.json"
            results.append(write_result(_about_training(evaluation.result, served.card), out / name))
    worth = ask_gap(served, data, options, store, mark) if options.ask else {}
    if own:
        _into_card(adapter, calibration, worth)
    write_report(results, out, learning=learning(served.card), title=f"genrec on {data.name}", ours=[OURS])
    return results


def _checked(
    card: AdapterCard, data: Prepared, options: Options
) -> tuple[Sequence[str], list[FilePredictions]]:
    """The tasks to measure and the files that take part; all that can be refused is, before a model is loaded."""
    if unknown := set(options.tasks) - set(harness.tasks(data)):
        raise UserError(f"No task {min(unknown)!r}", cure=f"use one of: {', '.join(harness.tasks(data))}")
    if options.protocol:
        require(data, options.protocol, card.data)
    elif not _its_own(card, data):
        print(
            f"the adapter was trained on {card.data['name']}: it may have seen what it is judged on here, so its "
            "stored calibration stays as it is"
        )
    tasks = options.tasks or measurable(data)
    taken = {OURS, UNTRAINED, WITHOUT}
    if options.predictions and options.baselines:
        taken |= {make().name for task in tasks for make in lineup(data, task)}
    return tasks, read_files(options.predictions, data, tasks, taken)


def _its_own(card: AdapterCard, data: Prepared) -> bool:
    """Whether this data set is the one, and split as the one, that the adapter was trained on."""
    return bool((card.data["name"], card.data["train_end"]) == (data.name, data.train_end))


def measurable(data: Prepared) -> list[str]:
    """The tasks with examples to judge by; says which have none."""
    found = []
    for task in harness.tasks(data):
        if len(asked(data, task, "test").rows):
            found.append(task)
        else:
            print(f"{task}: no examples in the test split (their windows may run past its end); left out")
    return found


def _task(
    task: str,
    contestants: Sequence[Recommender],
    data: Prepared,
    options: Options,
    store: Store,
    baselines: dict[str, Recommender],
) -> list[Evaluation]:
    """Ours first, then the others. baselines: those fitted so far, by name; each learns all its tasks at once."""
    kind = "item" if task != CTCVR and data.tasks[task].kind == "item" else "binary"
    sample = options.list_rows if kind == "item" else options.rows
    ask = Ask(
        task, regime=options.regime, rows=sample, valid_rows=options.rows, users=options.users, seed=options.seed,
        repeats=options.repeats,
    )  # fmt: skip
    done = []
    for recommender in contestants:
        print(f"{task}: {recommender.name}", flush=True)
        recommender.fit(data, options.regime)
        done.append(harness.evaluate(recommender, data, ask, store))
    for make in lineup(data, task, options.seed, options.quick) if options.baselines else ():
        print(f"{task}: {(baseline := make()).name}", flush=True)
        if baseline.name not in baselines:
            baseline.fit(data, options.regime)
            baselines[baseline.name] = baseline
        done.append(harness.evaluate(baselines[baseline.name], data, ask, store))
    return done


def untrained(card: AdapterCard, data: Prepared, regime: str, engine: str) -> Genrec:
    """The base model with the same prompts."""
    name = card.base["name"]
    layout = layout_of(data, load_tokenizer(name), card.pack, card.task_objects())
    histories = histories_of(data, layout, card.history["tokens"], regime)
    mark = f"{name} {fingerprint(name)} {card.data['prompts']} {card.history} {card.dtype}"
    return Genrec(UNTRAINED, layout, histories, open_engine(engine, name, card.dtype), mark)


def ask_gap(served: Served, data: Prepared, options: Options, store: Store, mark: str) -> dict[str, Any]:
    """Per task with wordings kept out of training: AUC in the trained wording and in the worst of those."""
    found = {}
    ask = Ask(
        "", split="valid", regime=options.regime, rows=options.rows or 2000, users=options.users,
        seed=options.seed, repeats=200,
    )  # fmt: skip
    for task in served.layout.tasks.values():
        if task.kind != "binary" or not task.held_out or task.given is not None:
            continue
        rows = asked(data, task.name, ask.split).rows
        gaps = data.examples.gap_days.iloc[rows]
        if not len(rows) or not all(Known(gap_days=days).in_words for days in gaps.dropna().unique()):
            continue
        aucs = dict[str | None, float]()
        for wording in (None, *task.held_out):
            name = OURS if wording is None else "ask"
            ours = Genrec(name, served.layout, served.histories, served.engine, mark, query=wording)
            ours.fit(data, options.regime)
            print(f"{task.name}: asked {'as trained' if wording is None else f'as {wording!r}'}", flush=True)
            done = harness.evaluate(ours, data, replace(ask, task=task.name), store)
            aucs[wording] = done.result["metrics"]["auc"]["value"]
        trained, scores = aucs.pop(None), aucs
        held_out = min(scores.values())
        found[task.name] = {
            "trained": trained, "held_out": held_out, "wordings": scores, "n": done.result["n"],
            "within": bool(trained - held_out <= 0.01),
        }  # fmt: skip
    return found


def _better_founded(fitted: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """What was fitted, unless the stored one rests on more examples, as after an evaluation of a larger sample."""
    worse = any(
        line["examples"] < stored.get(task, {"examples": 0})["examples"] for task, line in fitted.items()
    )
    return {} if worse else fitted


def _into_card(adapter: Path, calibration: dict[str, Any], asked: dict[str, Any]) -> None:
    card = AdapterCard.load(adapter)
    metrics = {**card.metrics, "ask": {**card.metrics.get("ask", {}), **asked}}
    replace(card, calibration={**card.calibration, **calibration}, metrics=metrics).save(adapter)


def _about_training(result: dict[str, Any], card: AdapterCard) -> dict[str, Any]:
    if result["model"] not in (OURS, WITHOUT):
        return result
    return {**result, "seed": card.training["recipe"]["seed"], "training": trained(card)}


def learning(card: AdapterCard) -> list[dict[str, Any]]:
    """The learning curve of the training log, as the report draws it."""
    points = []
    for entry in card.training.get("log", []):
        loss = {k.removeprefix("loss_"): v for k, v in entry.items() if k.startswith("loss_")}
        if loss and "step" in entry:
            points.append(
                {
                    "step": entry["step"],
                    "tokens": entry.get("num_tokens", 0),
                    "seconds": entry.get("seconds"),
                    "loss": loss,
                }
            )
    return json.loads(json.dumps(points))  # type: ignore[no-any-return]
