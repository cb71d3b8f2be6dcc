"""The baselines alone, on a prepared data set: the bar that an adapter has to clear. Loads no language model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from eval.comparison import Comparison, chosen_tasks
from eval.options import Options
from eval.predictions import read_files, those_for
from eval.proposed import commands
from eval.protocols import require
from genrec.dataset import Prepared
from genrec.progress import progress


def evaluate_baselines(data: Prepared, options: Options, out: Path) -> list[dict[str, Any]]:
    """Measure the baselines, and files of predictions; write one JSON a model and task, and the reports.

    The first file of predictions, or else the strongest baseline (the last of the lineup), is compared with each of the
    others. Raises UserError as eval.run.evaluate does.
    """
    options = replace(options, regime=options.regime or "running")
    if options.protocol:
        require(data, options.protocol, {"name": data.name})
    tasks = chosen_tasks(data, options)
    comparison = Comparison(data, options, out, tasks, commands=commands(data, options))
    taken = (
        {model.name for task in tasks for model in comparison.baselines(task)} if options.predictions else ()
    )
    files = read_files(options.predictions, data, tasks, taken, options.split)
    for task in progress(tasks, "evaluating", "task"):
        theirs = those_for(task, files, data, options.split)
        comparison.measure(task, [*theirs, *reversed(comparison.baselines(task))])
    return comparison.finish()
