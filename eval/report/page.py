"""Results as one HTML page: tables, intervals, reliability, ROC, learning curves, cost. Works offline, and on paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from eval.report import table
from eval.report.charts import Axis, Dot, Series, bar_chart, interval_chart, line_chart, spanning
from eval.report.table import LOWER_IS_BETTER, MAIN, WORDS, Group, Result

TEMPLATES = Path(__file__).parent / "templates"
UNIT = ("probability that was promised", "share of yes")
ROC_LINES = 6  # more of them hide each other
SPEED = "candidates_per_second"
COSTS = ("seconds", "questions", SPEED, "lists_per_second", "note")
SMOOTHING = 0.9  # of the learning curve's moving average


def page(
    results: Sequence[Result],
    learning: Sequence[Mapping[str, Any]] = (),
    title: str = "Results",
    ours: Sequence[str] = (),
) -> str:
    """The HTML text. learning: {step, tokens, seconds, loss: {task: nats}} in order of step. ours: models to bring
    out. Whatever a result holds is text, never markup."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title=title,
        ours=set(ours),
        sections=[_section(group, ours) for group in table.groups(results)],
        seed_rows=table.seed_figures(results),
        seed_own=[f"{value:.4f}" for pair in table.SEED.values() for value in pair],
        learning=learning_chart(learning) if learning else None,
        learned=learning[-1] if learning else None,
        costs=_costs(results, ours),
        runs=results,
        words=WORDS,
        figure=table.figure,
        between=table.between,
        signed=table.signed,
    )


def _section(group: Group, ours: Sequence[str]) -> dict[str, Any]:
    ordered = group.sorted()
    shown = [r for r in ordered if r["model"] in ours or r in ordered[:ROC_LINES]][: ROC_LINES + len(ours)]
    return {
        "group": group,
        "id": f"{group.task}-{group.data}-{group.split}-{group.regime}",
        "about": table.about(group),
        "rows": ordered,
        "calibrated": any("calibrated" in r for r in ordered),
        "intervals": [chart for name in MAIN[group.kind] if (chart := _intervals(group, name, ours))],
        "roc": _roc(shown),
        "reliability": [
            (r["model"], _reliability(r)) for r in shown if r.get("curves", {}).get("reliability")
        ],
        "paired": [(r["model"], pair) for r in ordered for pair in r["paired"]],
    }


def _intervals(group: Group, name: str, ours: Sequence[str]) -> Markup | None:
    found = [(r, r["metrics"].get(name) or {}) for r in group.sorted()]
    dots = [
        Dot(r["model"], m["value"], m.get("low"), m.get("high"), r["model"] in ours)
        for r, m in found
        if m.get("value") is not None
    ]
    better = "lower" if name in LOWER_IS_BETTER else "higher"
    return interval_chart(dots, f"{WORDS[name]}, 95% interval ({better} is better)") if dots else None


def _roc(results: Sequence[Result]) -> dict[str, Any] | None:
    lines = [
        Series(r["model"], r["curves"]["roc"], number)
        for number, r in enumerate(r for r in results if r.get("curves", {}).get("roc"))
    ]
    if not lines:
        return None
    x, y = Axis("false positive rate", 0, 1), Axis("true positive rate", 0, 1)
    return {"chart": line_chart(lines, x, y, 400, 380, diagonal=True), "names": [line.name for line in lines]}


def _reliability(result: Result) -> Markup:
    lines = [Series("as it came", [p[:2] for p in result["curves"]["reliability"]], 0, "dots")]
    if after := result.get("calibrated", {}).get("curves", {}).get("reliability"):
        lines.append(Series("calibrated", [p[:2] for p in after], 1, "dashed"))
    high = min(1.0, 1.08 * max(value for line in lines for point in line.points for value in point))
    return line_chart(lines, Axis(UNIT[0], 0, high), Axis(UNIT[1], 0, high), 265, 250, diagonal=True)


def learning_chart(learning: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Training loss of each task by step: as it came, thin, and its moving average."""
    names = sorted({task for point in learning for task in point["loss"]})
    lines = []
    for colour, name in enumerate(names):
        raw = [
            (float(p["step"]), float(p["loss"][name])) for p in learning if p["loss"].get(name) is not None
        ]
        lines += [Series(name, raw, colour, "faint"), Series(name, smoothed(raw), colour)]
    values = [y for line in lines for _, y in line.points]
    steps = [float(point["step"]) for point in learning]
    chart = line_chart(lines, Axis("step", 0, max([*steps, 1.0])), spanning("loss, nats", values), 640, 340)
    return {"chart": chart, "names": names}


def smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The exponential moving average, unbiased at the start (Kingma and Ba, Adam, ICLR 2015, section 3)."""
    mean, out = 0.0, []
    for count, (x, y) in enumerate(points, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * y
        out.append((x, mean / (1 - SMOOTHING**count)))
    return out


def _costs(results: Sequence[Result], ours: Sequence[str]) -> dict[str, Any] | None:
    """A column a cost that any result states; the speed on the first task as bars. Results that do not say what was
    asked are left out: of answers from memory the time alone would be a lie."""
    rows = [r for r in results if "questions" in r["cost"]]
    names = [name for name in COSTS if any(r["cost"].get(name) for r in rows)]
    fast = [group for group in table.groups(rows) if any(r["cost"].get(SPEED) for r in group.results)]
    if not rows:
        return None
    bars = [
        Dot(r["model"], r["cost"][SPEED], None, None, r["model"] in ours)
        for r in (fast[0].results if fast else ())
        if r["cost"].get(SPEED)
    ]
    bars.sort(key=lambda bar: -bar.value)
    chart = bar_chart(bars, f"{fast[0].title}: candidates a second") if bars else None
    return {"names": names, "rows": rows, "chart": chart}
