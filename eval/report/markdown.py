"""Results as Markdown tables, to paste into a README or an issue."""

from collections.abc import Sequence

from eval.report.table import SEED, WORDS, Group, Result, about, between, figure, groups, seed_figures, signed

FOOT = """Intervals: 95%, bootstrap over users. accuracy: threshold .5; accuracy*: the best one of the valid split.
ECE: 15 bins of equal mass. PCOC: predicted over observed. Calibrated: a line in log-odds, fitted on the valid split.
"""


def markdown(results: Sequence[Result], title: str = "Results") -> str:
    """A table a task; the value with its 95% interval for the main metrics, the value alone for the others."""
    parts = [f"# {title}\n"]
    for group in groups(results):
        parts.append(f"## {group.title}\n\n{about(group)}\n\n{_table(group)}\n")
        if lines := _paired(group):
            parts.append("\n".join(lines) + "\n")
    if seed := seed_figures(results):
        parts.append("## The seed's four figures\n\n" + _seed(seed) + "\n")
    parts.append(FOOT)
    return "\n".join(parts)


def _table(group: Group) -> str:
    columns = group.columns
    calibrated = any("calibrated" in r for r in group.results)
    head = [
        "model",
        *(WORDS[c] for c in columns),
        *(["log loss calibrated", "ECE calibrated"] * calibrated),
        "unscored",
    ]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for result in group.sorted():
        cells = [_cell(group, result, column) for column in columns]
        if calibrated:
            after = result.get("calibrated", {}).get("metrics", {})
            cells += [figure(after.get("log_loss")), figure(after.get("ece"))]
        rows.append([_safe(result["model"]), *cells, f"{result['unscored']:,}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(group: Group, result: Result, column: str) -> str:
    metric = result["metrics"].get(column)
    text = figure(metric)
    if metric is not None and metric.get("value") is not None and metric["value"] == group.best(column):
        text = f"**{text}**"
    wide = column in ("auc", "log_loss", "hit_rate@10", "ndcg@10") and between(metric)
    return f"{text} ({between(metric)})" if wide else text


def _paired(group: Group) -> list[str]:
    lines = []
    for result in group.sorted():
        for pair in result["paired"]:
            who = f"{_safe(result['model'])} minus {_safe(pair['against'])}, {pair['metric']}"
            spread = f"{signed(pair['difference'])} ({signed(pair['low'])} to {signed(pair['high'])})"
            lines.append(f"- {who}: {spread}, {'wins' if pair['wins'] else 'no win'}")
    return lines


def _seed(rows: Sequence[dict[str, object]]) -> str:
    out = [
        "| model | data | CTR accuracy | CTR MSE | CVR accuracy | CVR MSE |", "|---|---|---:|---:|---:|---:|",
        "| the seed's own, on data that it does not name | | "
        + " | ".join(f"{value:.4f}" for task in SEED for value in SEED[task]) + " |",
    ]  # fmt: skip
    for row in rows:
        cells = [text for task in SEED for text in row[task]]  # type: ignore[attr-defined]
        out.append(
            f"| {_safe(str(row['model']))} | {_safe(str(row['data']))}, {row['regime']} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(out)


def _safe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
