"""Facts about a prepared log that figures are read with: `python -m eval.facts DATA`.

How many impressions share their moment with another one of the same user; how many users of the test split training
never met; and what the stated number is worth in clicks, as the number and as the letter that prompts write of it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from eval.results_file import write_measurement
from genrec import metrics
from genrec.cli import complain
from genrec.dataset import REGIMES, Prepared
from genrec.errors import UserError
from genrec.provenance import module_command
from genrec.stated import stated
from prompts.templates import LETTERS, LOWEST, STEP, level


def shared_moments(data: Prepared) -> dict[str, float]:
    """Of the impressions, the share whose moment (microseconds) holds another one of the same user."""
    shown = data.lines[data.lines.kind == "impression"]
    together = shown.duplicated(["user_id", "ts"], keep=False)
    return {"impressions": len(shown), "share": float(together.mean()) if len(shown) else float("nan")}


def new_users(data: Prepared, task: str) -> dict[str, int]:
    """The users asked about in the task's test split; how many of them are not in its train split; their examples."""
    train, test = (data.examples.iloc[data.rows(task, split)] for split in ("train", "test"))
    new = ~test.user_id.isin(set(train.user_id))
    return {
        "users": int(test.user_id.nunique()),
        "new_users": int(test.user_id[new].nunique()),
        "examples": len(test),
        "examples_of_new_users": int(new.sum()),
    }


def as_letter(shares: np.ndarray) -> np.ndarray:
    """(n,) each share as its letter says it: the middle of the letter's step of log-odds."""
    places = [LETTERS.index(level(share)) for share in shares]
    return np.asarray(expit(LOWEST + STEP * np.array(places)), dtype=np.float64)


def letter_beside_number(data: Prepared, regime: str, task: str = "click") -> dict[str, dict[str, float]]:
    """AUC and log loss of the task's stated number on the test split, as it is and as its letter."""
    rows = data.rows(task, "test")
    asked = data.examples.iloc[rows]
    number = data.stats[regime][stated(data.tasks[task])].to_numpy(np.float64)[rows]
    return {
        name: {
            "auc": metrics.auc(asked.label, shares, weights=asked.weight),
            "log_loss": metrics.log_loss(asked.label, shares, weights=asked.weight),
        }
        for name, shares in (("number", number), ("letter", as_letter(number)))
    }


def facts(data: Prepared) -> dict[str, Any]:
    """All of them; what a log without click examples cannot say is left out."""
    found: dict[str, Any] = {"data": data.name, "impressions_that_share_a_moment": shared_moments(data)}
    asked = [task for task in data.tasks if len(data.rows(task, "test"))]
    found["users_of_test"] = {task: new_users(data, task) for task in asked}
    if "click" in asked and stated(data.tasks["click"]):
        found["stated_click_number"] = {regime: letter_beside_number(data, regime) for regime in REGIMES}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.facts", description=__doc__)
    parser.add_argument("data", type=Path, metavar="DATA", help="a folder that `genrec data prepare` wrote")
    parser.add_argument("--out", type=Path, help="a JSON file to write the facts to as well")
    options = parser.parse_args(arguments)
    try:
        found = facts(Prepared.load(options.data))
    except UserError as error:
        return complain(error)
    if options.out:
        write_measurement(found, options.out, module_command("eval.facts", arguments))
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
