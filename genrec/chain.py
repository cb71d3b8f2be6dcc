"""The chain of click and conversion: which tasks make it, and what their product is called."""

from collections.abc import Mapping

from genrec.tasks import Task

CTCVR = "ctcvr"  # click and convert, of all impressions; derived from the two tasks
CHAIN = ("click", "convert")


def chained(tasks: Mapping[str, Task]) -> bool:
    """Whether conversions are asked given the click, both of them yes or no: only then is there ctcvr."""
    click, convert = (tasks.get(name) for name in CHAIN)
    if click is None or convert is None:
        return False
    return click.kind == convert.kind == "binary" and (click.given, convert.given) == (None, "click")
