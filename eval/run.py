"""One evaluation, read down the page: ours trained and untrained, the baselines, pairs, calibration, reports."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval import harness
from eval.answers import asked
from eval.baselines.file import FilePredictions
from eval.comparison import Comparison, chosen_tasks
from eval.harness import Ask
from eval.lineup import lineup
from eval.options import Options
from eval.ours import Genrec
from eval.predictions import read_files, those_for
from eval.proposed import commands
from eval.protocols import require
from eval.recommender import Recommender
from eval.report.rivals import UNTRAINED, WITHOUT
from eval.results_file import trained
from eval.store import Store
from genrec.dataset import Prepared
from genrec.progress import Progress, progress
from prompts.adapter import AdapterCard, histories_of, layout_of, weights_hash
from prompts.base_files import fingerprint
from prompts.layout import Known
from prompts.tokens import tokenizer_of
from serve.adapters import open_adapter
from serve.engines import open_engine
from serve.served import Served

OURS = "genrec"


def evaluate(adapter: Path, data: Prepared, options: Options, out: Path) -> list[dict[str, Any]]:
    """Measure, write one JSON a model and task, the reports, and the calibration into the adapter's card."""
    tasks, files = _checked(AdapterCard.load(adapter), data, options)
    with Progress("loading the model and the adapter"):
        served = open_adapter(adapter, data, regime=options.regime, engine=options.engine)
    options = replace(options, regime=options.regime or served.card.regime)
    if options.regime != served.card.regime:
        print(
            f"measured on {options.regime} statistics, though the adapter was trained on {served.card.regime} ones: "
            "its stored calibration stays as it is"
        )
    with Progress("measuring the history window"):
        options = replace(options, history=longest_window(served, data))
    own = options.regime == served.card.regime and _its_own(served.card, data)
    mark = served.card.fingerprint(adapter)
    ours = (served.layout, served.histories, served.engine, mark)
    contestants: list[Recommender] = [Genrec(OURS, *ours, nodes=options.nodes)]
    if options.without_stats:
        contestants.append(Genrec(WITHOUT, *ours, with_stats=False, nodes=options.nodes))
    if options.untrained:
        with Progress("loading the untrained model"):
            contestants.append(untrained(served.card, data, options))
    comparison = Comparison(
        data, options, out, tasks, ours=[OURS], learning=learning(served.card),
        describe=lambda result: _about_training(
            _about_search(result, options.nodes), served.card, weights_hash(adapter)
        ),
        commands=commands(data, options, adapter, served.card.data["name"], served.card.regime),
    )  # fmt: skip
    calibration: dict[str, Any] = {}
    for task in progress(tasks, "evaluating", "task"):
        theirs = those_for(task, files, data, options.split)
        comparison.measure(task, [*contestants, *theirs, *comparison.baselines(task)])
        with Progress(f"{task}, calibration"):
            lines = harness.calibrations(contestants[0], data, comparison.ask(task), comparison.store)
        fitted = {name: line.to_json() for name, line in lines.items()}
        calibration |= _better_founded(fitted, served.card.calibration)
    worth = ask_gap(served, data, options, comparison.store, mark) if options.ask else {}
    if own:
        _into_card(adapter, calibration, worth)
    return comparison.finish()


def longest_window(served: Served, data: Prepared) -> int:
    """How many history lines the longest window of the validation examples holds, or of all where there are none: as
    many are read by the tabular baselines beside it."""
    examples = data.examples[data.examples.split == "valid"]
    asked_at = (examples if len(examples) else data.examples)[["user_id", "point"]].drop_duplicates()
    lengths = (
        point - served.histories.start(user, point) for user, point in asked_at.itertuples(index=False)
    )
    return int(max(1, *lengths))


def _checked(
    card: AdapterCard, data: Prepared, options: Options
) -> tuple[Sequence[str], list[FilePredictions]]:
    """The tasks to measure and the files that take part; all that can be refused is, before a model is loaded."""
    if options.protocol:
        require(data, options.protocol, card.data)
    elif not _its_own(card, data):
        print(
            f"the adapter was trained on {card.data['name']}: it may have seen what it is judged on here, so its "
            "stored calibration stays as it is"
        )
    tasks = chosen_tasks(data, options)
    taken = {OURS, UNTRAINED, WITHOUT}
    if options.predictions and options.baselines:
        taken |= {make().name for task in tasks for make in lineup(data, task)}
    return tasks, read_files(options.predictions, data, tasks, taken, options.split)


def _its_own(card: AdapterCard, data: Prepared) -> bool:
    """Whether this data set is the one, and split as the one, that the adapter was trained on."""
    return bool((card.data["name"], card.data["train_end"]) == (data.name, data.train_end))


def untrained(card: AdapterCard, data: Prepared, options: Options) -> Genrec:
    """The base model with the same prompts."""
    name = card.base["name"]
    layout = layout_of(data, tokenizer_of(name), card.pack, card.task_objects())
    histories = histories_of(data, layout, card.history["tokens"], options.regime)
    mark = f"{name} {fingerprint(name)} {card.data['prompts']} {card.history} {card.dtype}"
    engine = open_engine(options.engine, name, card.dtype)
    return Genrec(UNTRAINED, layout, histories, engine, mark, nodes=options.nodes)


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
            asked_as = f"{task.name}: asked {'as trained' if wording is None else f'as {wording!r}'}"
            print(asked_as, flush=True)
            with Progress(asked_as):
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


def _about_search(result: dict[str, Any], nodes: int) -> dict[str, Any]:
    """A result with the bound of our searches, where there were any and they were bounded."""
    lists = any(name.startswith("hit_rate@") for name in result["metrics"])
    if not (nodes and lists and result["model"] in (OURS, WITHOUT, UNTRAINED)):
        return result
    return {**result, "search_nodes": nodes}


def _about_training(result: dict[str, Any], card: AdapterCard, weights: str) -> dict[str, Any]:
    """weights: the sha256 of the adapter's."""
    if result["model"] not in (OURS, WITHOUT):
        return result
    seed = card.training["recipe"]["seed"]
    return {
        **result, "seed": seed, "training": trained(card), "trained_regime": card.regime, "adapter_sha256": weights,
    }  # fmt: skip


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
