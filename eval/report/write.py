"""Write the four reports of one list of results."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.report.latex import latex
from eval.report.markdown import markdown
from eval.report.page import page
from eval.results_file import REPORT
from genrec.errors import UserError
from genrec.files import file_written_whole


def write_report(
    results: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    learning: Sequence[Mapping[str, Any]] = (),
    title: str = "Results",
    ours: Sequence[str] = (),
    pending: Sequence[str] = (),
    words: str = "",
) -> list[Path]:
    """report.md, report.json, report.html and report.tex in `folder`, each written whole; returns their paths.

    learning: the train log, {step, tokens, seconds, loss: {task: nats}}. ours: names of the models to bring out.
    pending: what is still to be measured; the reports then say that they are not finished. words: the verdict, first.
    """
    if not results:
        raise UserError("There are no results to report", str(folder), "run `genrec eval` first")
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "report.md": markdown(results, title, pending, words),
        REPORT: json.dumps(list(results), indent=1, ensure_ascii=False) + "\n",
        "report.html": page(results, learning, title, ours, pending, words),
        "report.tex": latex(results),
    }
    for name, text in texts.items():
        with file_written_whole(folder / name) as part:
            part.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
