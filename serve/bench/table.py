"""The report on a screen."""

from collections.abc import Iterator
from typing import Any

from serve.bench.race import KINDS


def table(report: dict[str, Any]) -> str:
    behind = report.get("gateway", {})
    lines = [*_cells(report["cells"])]
    if behind:
        lines += [
            "",
            f"through the gateway ({behind['engine']}), task {behind['task']}:",
            *_cells(behind["cells"]),
        ]
        lines += ["", *_clients(behind)]
    load = report["load_average"]
    lines += [
        "",
        f"load average {load['before']} before, {load['after']} after; {report['machine']}; {report['dtype']}",
    ]
    return "\n".join(lines)


def _cells(cells: list[dict[str, Any]]) -> Iterator[str]:
    named = f"{'candidates':>10} {'context':>7}        {'contestant':<23} {'a second':>8}"
    yield f"{named}  {'least to most':>15}  {'of limit':>8}  times"
    for cell in cells:
        for kind in KINDS:
            for name, one in cell[kind]["contestants"].items():
                rate = one["candidates_per_second"]
                span = f"{rate['least']:g} to {rate['most']:g}"
                times = ", ".join(f"{t['median']:g} x {base}" for base, t in one["times"].items())
                yield (
                    f"{cell['candidates']:>10} {cell['context_tokens']:>7g}  {kind}  {name:<23} {rate['median']:>8g}  "
                    f"{span:>15}  {one['share_of_limit']:>8.0%}  {times}"
                )


def _clients(behind: dict[str, Any]) -> Iterator[str]:
    warm = behind["warm_predict"]
    yield f"warm /v1/predict, {warm['candidates']} candidates, one task: p50 {warm['p50_ms']:g} ms"
    yield "clients  requests  replies  429  a second  p50 ms  p95 ms  p99 ms"
    for row in behind["clients"]:
        waited = "  ".join(f"{_number(row[f'p{mark}_ms']):>6}" for mark in (50, 95, 99))
        yield (
            f"{row['clients']:>7}  {row['requests']:>8}  {row['replies']:>7}  {row['refused_429']:>3}  "
            f"{row['requests_per_second']:>8g}  {waited}"
        )
    burst = behind["burst"]
    yield (
        f"{burst['requests']} at once where {burst['fit_at_once']} fit: {burst['answered']} answered, "
        f"{burst['refused_429']} refused, half of them within {_number(burst['refused']['p50_ms'])} ms, "
        f"all within {_number(burst['refused']['most_ms'])} ms"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
