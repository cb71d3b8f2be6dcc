"""What `genrec data prepare` says at its end: what was kept, repaired, warned of, censored, and what can be learned."""

from collections.abc import Mapping

import pandas as pd
import pyarrow.compute as pc

from genrec.dataset import Prepared
from genrec.findings import Findings
from genrec.statistics.item_kernel import TRACKED_ITEMS
from genrec.tasks import SPLITS, Task

COLUMNS = (*SPLITS, "censored")


def summary(data: Prepared, findings: Findings) -> str:
    """Several lines of plain text."""
    facts = [*_kept(data), *findings.lines(), *_untracked(data)]
    lines = [*facts, "", *examples_table(data.examples, data.tasks)]
    if data.reading.note:
        lines += ["", data.reading.note]
    return "\n".join(lines)


def _kept(data: Prepared) -> list[str]:
    events, items, users = data.tables.events, data.tables.items, data.tables.users
    first, last = (str(t.as_py())[:10] for t in pc.min_max(events["ts"]).values())
    kinds = events["event"].value_counts().to_pylist()
    counts = ", ".join(f"{c['counts']:,} {c['values']}" for c in sorted(kinds, key=lambda c: -c["counts"]))
    return [
        f"{data.name}: {events.num_rows:,} events from {first} to {last}, "
        f"{items.num_rows:,} items, {users.num_rows:,} users",
        f"kept      {counts}",
    ]


def _untracked(data: Prepared) -> list[str]:
    """Said of a catalog that is larger than the matrices of which item goes with which."""
    items = data.tables.items.num_rows
    return [
        f"tracked   the first {TRACKED_ITEMS:,} of {items:,} items to be met: the others have shares, but say "
        "nothing of one another and are no candidates"
    ] * (items > TRACKED_ITEMS)


def examples_table(examples: pd.DataFrame, tasks: Mapping[str, Task]) -> list[str]:
    """Examples by task and split, with the share of yes where the task is a yes or no."""
    cells = {
        name: [_cell(part, tasks[name].kind == "binary") for part in _parts(examples, name)]
        for name in tasks
        if (examples.task == name).any()
    }
    width = max(len(cell) for row in [COLUMNS, *cells.values()] for cell in row) + 2
    first = max(len(name) for name in ("examples", *cells)) + 2
    rows = [("examples", COLUMNS), *cells.items()]
    table = [f"{name:<{first}}" + "".join(f"{cell:>{width}}" for cell in row) for name, row in rows]
    without = [name for name in tasks if name not in cells and tasks[name].label["rule"] != "none"]
    table += [f"no examples: {', '.join(without)}"] * bool(without)
    return table


def _parts(examples: pd.DataFrame, name: str) -> list[pd.DataFrame]:
    of_task = examples[examples.task == name]
    return [of_task[of_task.split == split] for split in COLUMNS]


def _cell(part: pd.DataFrame, binary: bool) -> str:
    if part.empty:
        return "0"
    return f"{len(part):,} ({part.label.mean():.1%} yes)" if binary else f"{len(part):,}"
