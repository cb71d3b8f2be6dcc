"""Results as Markdown tables, to paste into a README or an issue."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval.report.table import (
    FOOT,
    SEED,
    Group,
    Result,
    about,
    between,
    few_users,
    figure,
    groups,
    origins,
    pairings,
    seed_figures,
    signed,
    unfinished,
    verdict,
    word,
)


def markdown(
    results: Sequence[Result], title: str = "Results", pending: Sequence[str] = (), words: str = ""
) -> str:
    """A table a task; the value with its 95% interval for the main metrics, the value alone for the others.

    pending: what is still to be measured. words: the verdict, first."""
    parts = [f"# {title}\n"]
    if words:
        parts.append(f"{words}\n")
    if pending:
        parts.append(f"**{unfinished(pending)}**\n")
    for group in groups(results):
        flag = f"\n\n**{few}**" if (few := few_users(group)) else ""
        parts.append(f"## {group.title}\n\n{about(group)}{flag}\n\n{_table(group)}\n")
        if lines := _paired(group):
            parts.append("\n".join(lines) + "\n")
    if seed := seed_figures(results):
        parts.append("## Accuracy and squared error of CTR and CVR\n\n" + _seed(seed) + "\n")
    parts.append(f"{FOOT}\n")
    parts += [f"    {origin.command}\n" for origin in origins(results)]
    return "\n".join(parts)


def _table(group: Group) -> str:
    columns = group.columns
    calibrated = any("calibrated" in r for r in group.results)
    head = [
        "model",
        *(word(c) for c in columns),
        *(["log loss calibrated", "ECE calibrated"] * calibrated),
        "unscored",
    ]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for result in group.sorted():
        cells = [_cell(group, result, column) for column in columns]
        if calibrated:
            after = result.get("calibrated", {}).get("metrics", {})
            cells += [figure(after.get("log_loss")), figure(after.get("ece"))]
        rows.append([_safe(group.name(result)), *cells, f"{result['unscored']:,}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(group: Group, result: Result, column: str) -> str:
    metric = result["metrics"].get(column)
    text = figure(metric)
    if group.is_best(result, column):
        text = f"**{text}**"
    wide = column.partition("@")[0] in ("auc", "log_loss", "hit_rate", "ndcg") and between(metric)
    return f"{text} ({between(metric)})" if wide else text


def _paired(group: Group) -> list[str]:
    found = pairings(group)
    if not found:
        return []
    metrics = list(dict.fromkeys(name for pairing in found for name in pairing.pairs))
    lines = [
        "| " + " | ".join(["model", "minus", *(word(name) for name in metrics)]) + " |",
        "|---" * (2 + len(metrics)) + "|",
    ]
    for pairing in found:
        cells = [_pair(pairing.pairs[name]) if name in pairing.pairs else "" for name in metrics]
        lines.append("| " + " | ".join([_safe(pairing.name), _safe(pairing.against), *cells]) + " |")
    return lines


def _pair(pair: Mapping[str, Any]) -> str:
    spread = f"{signed(pair['difference'])} ({signed(pair['low'])} to {signed(pair['high'])})"
    return f"{spread} {verdict(pair)}"


def _seed(rows: Sequence[dict[str, object]]) -> str:
    out = [
        "| model | data | CTR accuracy | CTR MSE | CVR accuracy | CVR MSE |", "|---|---|---:|---:|---:|---:|",
        "| the seed article's, on data that it does not name | | "
        + " | ".join(f"{value:.4f}" for task in SEED for value in SEED[task]) + " |",
    ]  # fmt: skip
    for row in rows:
        cells = [text for task in SEED for text in row[task]]  # type: ignore[attr-defined]
        out.append(
            f"| {_safe(str(row['name']))} | {_safe(str(row['data']))}, {row['regime']} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(out)


def _safe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
