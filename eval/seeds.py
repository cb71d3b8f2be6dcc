"""The headline over seeds: `python -m eval.seeds FOLDER ...` prints each model's mean, and its spread over seeds.

Each folder holds the results of one training seed; baselines are measured once (their seed is fixed).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from eval.report.table import LOWER_IS_BETTER, Group, Result, groups, word
from eval.results_file import read_results
from genrec.cli import complain
from genrec.errors import UserError

SHOWN = ("auc", "log_loss", "ece", "hit_rate", "ndcg")


def table(results: Sequence[Result]) -> str:
    """Markdown: a table a task (data, split and regime), best mean first."""
    return "\n\n".join(_table(group) for group in groups(results))


def _table(group: Group) -> str:
    columns = [name for name in group.columns if name.partition("@")[0] in SHOWN]
    models: dict[str, list[Result]] = {}
    for result in group.results:
        models.setdefault(result["model"], []).append(result)
    examples = max(result["n"] for result in group.results)
    lines = [f"## {group.data}, {group.task}, {group.split}, {group.regime}: {examples:,} examples", ""]
    lines.append("| model | seeds | " + " | ".join(word(c) for c in columns) + " | paired wins |")
    lines.append("|---" * (len(columns) + 3) + "|")
    for model, runs in sorted(models.items(), key=lambda pair: _rank(pair[1], columns[0])):
        cells = [_spread(runs, column) for column in columns]
        lines.append(f"| {model} | {len(runs)} | " + " | ".join(cells) + f" | {_wins(runs)} |")
    return "\n".join(lines)


def _values(runs: Sequence[Result], column: str) -> list[float]:
    found = [run["metrics"].get(column, {}).get("value") for run in runs]
    return [value for value in found if value is not None]


def _rank(runs: Sequence[Result], column: str) -> float:
    values = _values(runs, column)
    if not values:
        return float("inf")
    return fmean(values) * (1 if column in LOWER_IS_BETTER else -1)


def _spread(runs: Sequence[Result], column: str) -> str:
    values = _values(runs, column)
    if not values:
        return ""
    text = f"{fmean(values):.4f}"
    return text if len(values) == 1 else f"{text} ({min(values):.4f} to {max(values):.4f})"


def _wins(runs: Sequence[Result]) -> str:
    """Against whom, in how many of the runs the paired interval is on our side of zero."""
    won: dict[str, int] = {}
    for run in runs:
        for pair in run["paired"]:
            name = f"{pair['against']} ({word(pair['metric'])})"
            won[name] = won.get(name, 0) + bool(pair["wins"])
    return "; ".join(f"{name} {count}/{len(runs)}" for name, count in sorted(won.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.seeds", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of result files")
    results = []
    try:
        for folder in parser.parse_args(arguments).folders:
            if not (found := read_results(folder)):
                raise UserError(
                    "No results", where=str(folder), cure="name a folder that `genrec eval` wrote"
                )
            results += found
    except UserError as error:
        return complain(error)
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
