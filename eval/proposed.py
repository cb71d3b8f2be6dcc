"""The commands that the report of an evaluation proposes: the same evaluation again, and training on its data."""

import shlex
from pathlib import Path

from eval.options import Options
from eval.report.conclusion import Commands
from genrec.dataset import Prepared


def commands(
    data: Prepared,
    options: Options,
    adapter: Path | None = None,
    usual_data: str = "",
    usual_regime: str = "running",
) -> Commands:
    """What a reader of the report can type next.

    adapter: None for the baselines alone. usual_data: the name of the data set that `genrec eval` measures the adapter
    on where no folder is named. usual_regime: the one that it measures where none is named.
    """
    folder = str(data.folder or f"data/{data.name}")
    if adapter is None:
        evaluate = ["genrec", "eval", "--baselines-only", folder]
    else:
        named = [] if Path(folder) == Path("data") / usual_data else [folder]
        evaluate = ["genrec", "eval", "--adapter", str(adapter), *named]
    return Commands(
        evaluate=shlex.join([*evaluate, *_kept(options, usual_regime, with_model=adapter is not None)]),
        train=shlex.join(["genrec", "train", folder]),
        evaluate_trained=shlex.join(["genrec", "eval", *_kept(options, "running")]),
        users=options.users,
        rows=options.rows,
        list_rows=options.list_rows,
    )


def _kept(options: Options, usual_regime: str, with_model: bool = True) -> list[str]:
    """The options that say what is measured, where they are not the defaults; those of split and sample are left out,
    and those that leave models out."""
    usual = Options()
    kept = ["--tasks", ",".join(options.tasks)] if options.tasks else []
    kept += ["--regime", options.regime] if options.regime not in ("", usual_regime) else []
    kept += ["--protocol", options.protocol] if options.protocol else []
    kept += [part for file in options.predictions for part in ("--predictions", str(file))]
    kept += ["--k", ",".join(map(str, options.ks))] if options.ks != usual.ks else []
    if with_model:  # they are refused where no language model takes part
        kept += ["--nodes", str(options.nodes)] if options.nodes != usual.nodes else []
        kept += ["--engine", options.engine] if options.engine != usual.engine else []
    return kept
