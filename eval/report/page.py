"""Results as one HTML page: tables, intervals, reliability, ROC, learning curves, cost. Works offline, and on paper."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from eval.report import table
from eval.report.charts import Axis, Dot, Series, bar_chart, interval_chart, line_chart, spanning
from eval.report.table import FOOT, LOWER_IS_BETTER, Group, Result

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
    pending: Sequence[str] = (),
    words: str = "",
) -> str:
    """The HTML text.

    learning: {step, tokens, seconds, loss: {task: nats}} in order of step. ours: models to bring out. pending: what is
    still to be measured. words: the verdict, first. Whatever a result holds is text, never markup."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    groups = table.groups(results)
    several = {name: len({getattr(g, name) for g in groups}) > 1 for name in ("data", "split", "regime")}
    return environment.get_template("report.html.j2").render(
        title=title,
        foot=FOOT,
        verdict_words=_coded(words),
        unfinished=table.unfinished(pending) if pending else "",
        ours=set(ours),
        sections=[_section(group, ours, [name for name in several if several[name]]) for group in groups],
        seed_rows=table.seed_figures(results),
        seed_own=[f"{value:.4f}" for pair in table.SEED.values() for value in pair],
        learning=learning_charts(learning),
        learned=learning[-1] if learning else None,
        costs=_costs(results, ours),
        results=results,
        origins=table.origins(results),
        word=table.word,
        figure=table.figure,
        between=table.between,
        signed=table.signed,
        verdict=table.verdict,
    )


def _coded(words: str) -> Markup:
    """Text with what stands between backquotes set as code."""
    parts = [escape(part) for part in words.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )


def _section(group: Group, ours: Sequence[str], told: Sequence[str]) -> dict[str, Any]:
    """told: what sets this group apart from others of its task, for the list of contents."""
    ordered = group.sorted()
    pairings = table.pairings(group)
    shown = [r for r in ordered if r["model"] in ours or r in ordered[:ROC_LINES]][: ROC_LINES + len(ours)]
    return {
        "group": group,
        "link": ", ".join([group.task, *(getattr(group, name) for name in told)]),
        "id": f"{group.task}-{group.data}-{group.split}-{group.regime}",
        "about": table.about(group),
        "few_users": table.few_users(group),
        "rows": ordered,
        "calibrated": any("calibrated" in r for r in ordered),
        "intervals": [chart for name in group.main if (chart := _intervals(group, name, ours))],
        "roc": _roc(group, shown, ours),
        "reliability": [
            (group.name(r), _reliability(r)) for r in shown if r.get("curves", {}).get("reliability")
        ],
        "fewer": len(shown) < len(ordered),
        "pairings": pairings,
        "compared": list(dict.fromkeys(name for pairing in pairings for name in pairing.pairs)),
    }


def _intervals(group: Group, name: str, ours: Sequence[str]) -> Markup | None:
    found = [(r, r["metrics"].get(name) or {}) for r in group.sorted()]
    dots = [
        Dot(group.name(r), m["value"], m.get("low"), m.get("high"), r["model"] in ours)
        for r, m in found
        if m.get("value") is not None
    ]
    better = "lower" if name in LOWER_IS_BETTER else "higher"
    return interval_chart(dots, f"{table.word(name)}, 95% interval ({better} is better)") if dots else None


def _roc(group: Group, results: Sequence[Result], ours: Sequence[str]) -> dict[str, Any] | None:
    """Ours first, so that it has the same colour everywhere."""
    drawn = sorted(
        (r for r in results if r.get("curves", {}).get("roc")), key=lambda r: r["model"] not in ours
    )
    lines = [Series(group.name(r), r["curves"]["roc"], number) for number, r in enumerate(drawn)]
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


def learning_charts(learning: Sequence[Mapping[str, Any]]) -> list[tuple[str, Markup]]:
    """Training loss by step, a chart a task, as their losses are of different sizes: as it came, thin, and its moving
    average."""
    charts = []
    end = max([*(float(point["step"]) for point in learning), 1.0])
    for name in sorted({task for point in learning for task in point["loss"]}):
        raw = [
            (float(p["step"]), float(p["loss"][name])) for p in learning if p["loss"].get(name) is not None
        ]
        lines = [Series(name, raw, 0, "faint"), Series(name, smoothed(raw), 0)]
        values = [y for line in lines for _, y in line.points]
        charts.append(
            (name, line_chart(lines, Axis("step", 0, end), spanning("loss, nats", values), 265, 230))
        )
    return charts


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
    groups = table.groups([r for r in results if "questions" in r["cost"]])
    rows = [(group.name(r), r) for group in groups for r in sorted(group.results, key=_slowness)]
    if not rows:
        return None
    fast = [group for group in groups if any(r["cost"].get(SPEED) for r in group.results)]
    bars = [
        Dot(fast[0].name(r), r["cost"][SPEED], None, None, r["model"] in ours)
        for r in (sorted(fast[0].results, key=_slowness) if fast else ())
        if r["cost"].get(SPEED)
    ]
    return {
        "names": [name for name in COSTS if any(r["cost"].get(name) for _, r in rows)],
        "rows": rows,
        "machines": sorted({r["machine"] for _, r in rows}),
        "splits": sorted({r["split"] for _, r in rows}),
        "chart": bar_chart(bars, f"{fast[0].title}: candidates a second") if bars else None,
    }


def _slowness(result: Result) -> float:
    """Orders by speed; what was not asked anew has none."""
    speed = result["cost"].get(SPEED) or result["cost"].get("lists_per_second")
    return 1 / speed if speed else math.inf
