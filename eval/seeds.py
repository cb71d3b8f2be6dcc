"""The headline over seeds: `python -m eval.seeds eval/results` prints each model's mean, and its spread over seeds.

Baselines are measured once (their seed is fixed); ours once for each training seed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from eval.report.table import LOWER_IS_BETTER, WORDS
from eval.results_file import read_results

SHOWN = ("auc", "log_loss", "ece", "hit_rate@10", "ndcg@10")


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a table a task (data, split and regime), best mean first."""
    groups: dict[tuple[str, ...], dict[str, list[dict[str, Any]]]] = {}
    for result in results:
        key = (result["data"], result["task"], result["split"], result["regime"])
        groups.setdefault(key, {}).setdefault(result["model"], []).append(result)
    return "\n\n".join(_table(key, models) for key, models in sorted(groups.items()))


def _table(key: tuple[str, ...], models: dict[str, list[dict[str, Any]]]) -> str:
    columns = [c for c in SHOWN if any(c in run["metrics"] for runs in models.values() for run in runs)]
    examples = max(run["n"] for runs in models.values() for run in runs)
    rows = sorted(models.items(), key=lambda pair: _rank(pair[1], columns[0]))
    lines = [f"## {', '.join(key)}: {examples:,} examples", ""]
    lines.append("| model | seeds | " + " | ".join(WORDS[c] for c in columns) + " | paired wins |")
    lines.append("|---" * (len(columns) + 3) + "|")
    for model, runs in rows:
        cells = [_spread(runs, column) for column in columns]
        lines.append(f"| {model} | {len(runs)} | " + " | ".join(cells) + f" | {_wins(runs)} |")
    return "\n".join(lines)


def _values(runs: Sequence[dict[str, Any]], column: str) -> list[float]:
    found = [run["metrics"].get(column, {}).get("value") for run in runs]
    return [value for value in found if value is not None]


def _rank(runs: Sequence[dict[str, Any]], column: str) -> float:
    values = _values(runs, column)
    if not values:
        return float("inf")
    return fmean(values) * (1 if column in LOWER_IS_BETTER else -1)


def _spread(runs: Sequence[dict[str, Any]], column: str) -> str:
    values = _values(runs, column)
    if not values:
        return ""
    text = f"{fmean(values):.4f}"
    return text if len(values) == 1 else f"{text} ({min(values):.4f} to {max(values):.4f})"


def _wins(runs: Sequence[dict[str, Any]]) -> str:
    """Against whom, in how many of the runs the paired interval is on our side of zero."""
    won: dict[str, int] = {}
    for run in runs:
        for pair in run["paired"]:
            name = f"{pair['against']} ({WORDS[pair['metric']]})"
            won[name] = won.get(name, 0) + bool(pair["wins"])
    return "; ".join(f"{name} {count}/{len(runs)}" for name, count in sorted(won.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of result files")
    print(table(read_results(parser.parse_args().folder)))


if __name__ == "__main__":
    main()
