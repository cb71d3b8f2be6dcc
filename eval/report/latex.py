r"""Results as LaTeX tables for a paper: \usepackage{booktabs} in the preamble and \input{report} where they stand."""

from collections.abc import Sequence

from eval.report import table
from eval.report.table import Group, Result

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "–": "--",
}  # fmt: skip


def latex(results: Sequence[Result]) -> str:
    """A booktabs table a task: each model's main metrics with their 95% intervals, the other metrics alone."""
    head = r"% Needs \usepackage{booktabs}. Written by genrec eval."
    return "\n\n".join([head, *map(_table, table.groups(results))]) + "\n"


def _table(group: Group) -> str:
    columns = group.columns
    rows = [" & ".join(["model", *(escaped(table.word(name)) for name in columns)])]
    rows += [" & ".join(_row(group, result)) for result in group.sorted()]
    few = " " + table.few_users(group) if group.few_users else ""
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{escaped(group.title)}: {escaped(table.about(group) + few)} Intervals: 95\%.}}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        rows[0] + r" \\",
        r"\midrule",
        *(row + r" \\" for row in rows[1:]),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(group: Group, result: Result) -> list[str]:
    cells = [escaped(group.name(result))]
    for column in group.columns:
        metric = result["metrics"].get(column)
        text = table.figure(metric)
        text = rf"\textbf{{{text}}}" if group.is_best(result, column) else text
        spread = table.between(metric) if column in group.main else ""
        cells.append(f"{text} ({escaped(spread)})" if spread else text)
    return cells


def escaped(text: str) -> str:
    """Text as LaTeX prints it: no character of it is a command."""
    return "".join(SPECIAL.get(character, character) for character in text)
