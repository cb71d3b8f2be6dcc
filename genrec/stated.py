"""Which statistic foretells a task's yes: what prompts state of it, and what training may lean on at first."""

from genrec.tasks import Task

# By name and by what it is given: conversions are counted among those of a click.
COLUMNS = {("click", None): "match_share", ("convert", "click"): "match_convert_share"}


def stated(task: Task) -> str | None:
    """A column of Prepared.stats, the share of yes expected at the example's own time; None where there is none."""
    if task.kind != "binary":
        return None
    return "return_share" if task.label["rule"] == "returns" else COLUMNS.get((task.name, task.given))
