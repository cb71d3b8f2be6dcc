"""Sources: each turns one kind of data into `Loaded`; they join by the entry-point group "genrec.sources"."""

import inspect
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from genrec.errors import UserError
from genrec.findings import Findings
from genrec.reading import Loaded

GROUP = "genrec.sources"


def names() -> list[str]:
    """The sources that are installed."""
    return sorted(entry_points(group=GROUP).names)


def load_source(
    name: str, path: Path | None = None, findings: Findings | None = None, **options: Any
) -> Loaded:
    """Load the data of a source by its name. findings: takes the warnings of a source that has some, one whose function
    has this parameter. options: those the source takes; None counts as not given.

    Raises UserError for an unknown source or option, and whatever the source refuses.
    """
    found = tuple(entry_points(group=GROUP, name=name))
    if not found:
        near = get_close_matches(name, names(), n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(names())}"
        raise UserError(f"There is no source {name!r}", cure=f"{cure} (files of your own: files PATH)")
    load = found[0].load()
    given = {option: value for option, value in options.items() if value is not None}
    takes_findings = "findings" in inspect.signature(load).parameters
    known = [p for p in inspect.signature(load).parameters if p not in ("path", "findings")]
    if unknown := sorted(set(given) - set(known)):
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise UserError(f"The source {name!r} has no option {unknown[0]!r}", cure=takes)
    loaded: Loaded = load(path, **given, **({"findings": findings} if takes_findings else {}))
    return loaded
