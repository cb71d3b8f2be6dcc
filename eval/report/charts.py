"""Charts as inline SVG: lines, intervals, bars. Colours come from the page, so they follow light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

Point = Sequence[float]  # x, y
COLOURS = 8  # classes c0 .. c7 of the page


@dataclass(frozen=True)
class Axis:
    """label: what is on it, with its unit. low, high: its ends."""

    label: str
    low: float
    high: float

    def at(self, value: float, length: float) -> float:
        """Where a value stands on an axis of this length."""
        return (value - self.low) / (self.high - self.low) * length

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers within the ends, about so many."""
        raw = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Series:
    """One line. colour: number of a page colour. style: "line", "dashed", "faint" or "dots" (marked)."""

    name: str
    points: Sequence[Point]
    colour: int
    style: str = "line"


def spanning(label: str, values: Sequence[float], margin: float = 0.06) -> Axis:
    """An axis that holds all values, with a margin; around a single value if there is only one."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    pad = (high - low) * margin or abs(high) * margin or 1.0
    return Axis(label, low - pad, high + pad)


def line_chart(
    series: Sequence[Series], x: Axis, y: Axis, width: int = 420, height: int = 340, diagonal: bool = False
) -> Markup:
    """Lines on two axes; diagonal: the dotted line y = x."""
    left, right, top, bottom = 52, 12, 10, 42
    wide, tall = width - left - right, height - top - bottom

    def place(point: Point) -> tuple[float, float]:
        return left + x.at(point[0], wide), top + tall - y.at(point[1], tall)

    parts = [_open(width, height, f"{y.label} against {x.label}")]
    for tick in x.ticks(max(2, wide // 50)):
        px = left + x.at(tick, wide)
        parts.append(f'<line class="grid" x1="{px:.1f}" y1="{top}" x2="{px:.1f}" y2="{top + tall}"/>')
        parts.append(_text(px, top + tall + 15, number(tick), "tick", "middle"))
    for tick in y.ticks(max(2, tall // 45)):
        py = top + tall - y.at(tick, tall)
        parts.append(f'<line class="grid" x1="{left}" y1="{py:.1f}" x2="{left + wide}" y2="{py:.1f}"/>')
        parts.append(_text(left - 6, py + 3.5, number(tick), "tick", "end"))
    parts.append(_text(left + wide / 2, height - 8, x.label, "label", "middle"))
    upright = f'transform="translate(13 {top + tall / 2:.0f}) rotate(-90)"'
    parts.append(f'<text class="label" text-anchor="middle" {upright}>{escape(y.label)}</text>')
    if diagonal:
        parts.append(_polyline([place((x.low, x.low)), place((x.high, x.high))], "diagonal"))
    for line in series:
        placed = [place(point) for point in line.points]
        parts.append(f"<g><title>{escape(line.name)}</title>")
        parts.append(
            _polyline(placed, f"{'line' if line.style == 'dots' else line.style} c{line.colour % COLOURS}")
        )
        if line.style == "dots":
            parts += [
                f'<circle class="dot c{line.colour % COLOURS}" cx="{px:.1f}" cy="{py:.1f}" r="3">'
                f"<title>{escape(line.name)}: {number(point[0])}, {number(point[1])}</title></circle>"
                for (px, py), point in zip(placed, line.points, strict=True)
            ]
        parts.append("</g>")
    return Markup("".join([*parts, "</svg>"]))


@dataclass(frozen=True)
class Dot:
    """One row of an interval chart; low and high are None where there is no interval."""

    name: str
    value: float
    low: float | None
    high: float | None
    ours: bool = False


def interval_chart(dots: Sequence[Dot], label: str, wide: int = 240) -> Markup:
    """A row for each model: its value and its 95% interval. wide: of the axis; the names take what they need."""
    row, top, bottom, left, right = 24, 6, 40, _room(dots), 64
    height, width = top + bottom + row * len(dots), left + wide + right
    ends = [end for dot in dots for end in (dot.value, dot.low, dot.high) if end is not None]
    axis = spanning(label, ends)
    parts = [_open(width, height, label)]
    for tick in axis.ticks(max(2, wide // 40)):
        px = left + axis.at(tick, wide)
        parts.append(f'<line class="grid" x1="{px:.1f}" y1="{top}" x2="{px:.1f}" y2="{height - bottom}"/>')
        parts.append(_text(px, height - bottom + 15, number(tick), "tick", "middle"))
    for place, dot in enumerate(dots):
        py = top + row * (place + 0.5)
        kind = "ours" if dot.ours else "theirs"
        parts.append(_text(left - 10, py + 4, _short(dot.name), f"name {kind}", "end"))
        if dot.low is not None and dot.high is not None:
            a, b = (left + axis.at(end, wide) for end in (dot.low, dot.high))
            parts.append(f'<line class="whisker {kind}" x1="{a:.1f}" y1="{py}" x2="{b:.1f}" y2="{py}"/>')
        parts.append(
            f'<circle class="value {kind}" cx="{left + axis.at(dot.value, wide):.1f}" cy="{py}" r="4.5">'
            f"<title>{escape(dot.name)}: {dot.value:.4f}</title></circle>"
        )
        parts.append(_text(width - 4, py + 4, f"{dot.value:.4f}", f"tick {kind}", "end"))
    parts.append(_text(left + wide / 2, height - 7, label, "label", "middle"))
    return Markup("".join([*parts, "</svg>"]))


def bar_chart(bars: Sequence[Dot], label: str, wide: int = 260) -> Markup:
    """A bar for each positive value, on a logarithmic scale."""
    row, top, bottom, left, right = 24, 6, 40, _room(bars), 64
    height, width = top + bottom + row * len(bars), left + wide + right
    logs = [math.log10(bar.value) for bar in bars]
    axis = Axis(label, math.floor(min(logs) - 1e-9), max(math.ceil(max(logs)), math.floor(min(logs)) + 1))
    parts = [_open(width, height, label)]
    for power in range(int(axis.low), int(axis.high) + 1):
        px = left + axis.at(power, wide)
        parts.append(f'<line class="grid" x1="{px:.1f}" y1="{top}" x2="{px:.1f}" y2="{height - bottom}"/>')
        parts.append(_text(px, height - bottom + 15, _power(power), "tick", "middle"))
    for place, bar in enumerate(bars):
        py, kind = top + row * (place + 0.5), "ours" if bar.ours else "theirs"
        long = axis.at(logs[place], wide)
        parts.append(_text(left - 10, py + 4, _short(bar.name), f"name {kind}", "end"))
        parts.append(f'<rect class="{kind}" x="{left}" y="{py - 6}" width="{long:.1f}" height="12" rx="2"/>')
        parts.append(_text(width - 4, py + 4, number(float(f"{bar.value:.3g}")), f"tick {kind}", "end"))
    parts.append(_text(left + wide / 2, height - 7, label, "label", "middle"))
    return Markup("".join([*parts, "</svg>"]))


def number(value: float) -> str:
    """As short as it can be read: 0.25, 1,500, 2.5M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}" if abs(value) > 1e-9 else "0"


def _power(exponent: int) -> str:
    """Ten to it, short enough to stand beside the next: 0.1, 10, 100k, 1M."""
    if exponent < 3:
        return number(10.0**exponent)
    return f"{10 ** (exponent % 3)}{'kMGT'[exponent // 3 - 1]}"


def _room(rows: Sequence[Dot]) -> int:
    """Pixels for the longest name, set bold."""
    return 24 + round(7.4 * max(len(_short(row.name)) for row in rows))


def _open(width: int, height: int, label: str) -> str:
    return f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(label)}">'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _polyline(points: Sequence[tuple[float, float]], kind: str) -> str:
    joined = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    return f'<polyline class="{kind}" points="{joined}"/>'


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"
