"""How much shared-context packing is worth: the same model, data and loss, one row a window against one row a prompt.

    python -m finetune.bench data/movielens-100k --minutes 6 --out runs/packing

Both contestants train for the same time, one after the other on an otherwise idle machine, on the windows of the same
users, with the same number of click labels behind an optimizer step, and are judged by the same validation windows.
Prints, and writes to OUT/packing.json: tokens per label, labels per second, and the seconds each needed to the plain
one's best loss.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from finetune.budget import UNLIMITED
from finetune.mixture import Mixture
from finetune.recipe import Recipe, load_recipe
from finetune.run import as_runnable, build_rows, build_trainer, mixture_options
from genrec.dataset import Prepared
from genrec.labels import hash_share
from genrec.provenance import module_command, provenance
from prompts.adapter import histories_of, layout_of
from prompts.language_model import load_tokenizer

LABELS_PER_STEP = 30  # about one packed window
USERS = 0.1  # share of them whose windows are trained on: no contestant gets through more
# The log's own labels, as they are.
LOG_ALONE = {"lessons": 0.0, "lean_for": 0.0, "lean_to": 0.0, "reread": False}
EVALUATIONS = 12  # validation passes in the time, spread evenly; not counted in it


class Clock(TrainerCallback):
    """Stops the run after some seconds of training and evaluates on the way; validation time does not count."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.spent, self.curve = seconds, 0.0, list[dict[str, float]]()
        self.next = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.start = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.spent += time.perf_counter() - self.start
        if self.spent >= self.next:
            control.should_evaluate = True
            self.next += self.seconds / EVALUATIONS
        control.should_training_stop = self.spent >= self.seconds

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        if metrics is not None:
            self.curve.append({**metrics, "seconds": self.spent, "step": state.global_step})


def contestant(data: Prepared, recipe: Recipe, minutes: float, out: Path) -> dict[str, Any]:
    """Train for the time given; tokens and labels per second, and the validation curve."""
    recipe = as_runnable(recipe)
    tokenizer = load_tokenizer(recipe.base)
    layout = layout_of(data, tokenizer)
    mixture = Mixture(
        data,
        layout,
        histories_of(data, layout, recipe.history_tokens, recipe.regime),
        mixture_options(recipe),
    )
    rows = build_rows(mixture, recipe, out)
    valid = build_rows(mixture, replace(recipe, packed=True), out).valid
    picked = np.random.default_rng(0).choice(len(rows.train), min(500, len(rows.train)), replace=False)
    sample = rows.train.select(picked)
    tokens = float(np.mean([len(row["input_ids"]) for row in sample]))
    labels = float(np.mean([_click_labels(row) for row in sample]))
    rows_per_step = max(round(LABELS_PER_STEP / labels), 1)
    sized = replace(recipe, rows_per_step=rows_per_step, steps=UNLIMITED, warmup_steps=0)
    trainer = build_trainer(sized, mixture, type(rows)(rows.train, valid), tokenizer, out)
    trainer.args.eval_strategy, trainer.args.save_strategy = "no", "no"
    clock = Clock(minutes * 60)
    trainer.add_callback(clock)
    trainer.train()
    steps = clock.curve[-1]["step"]
    return {
        "tokens_per_label": tokens / labels,
        "labels_per_second": steps * sized.rows_per_step * labels / clock.spent,
        "tokens_per_second": steps * sized.rows_per_step * tokens / clock.spent,
        "rows_per_step": sized.rows_per_step,
        "curve": clock.curve,
    }


def _of_some_users(data: Prepared) -> Prepared:
    examples = data.examples
    chosen = examples.user_id.map(hash_share) < USERS
    return replace(data, examples=examples[(examples.split != "train") | chosen])


def _click_labels(row: dict[str, Any]) -> int:
    """A paraphrase asks for the same label a second time, at a place of its own."""
    return sum(task == 0 for task in row["read_task"])


def seconds_to(curve: list[dict[str, float]], loss: float) -> float | None:
    """When a curve first reached a loss, None if never."""
    return next((point["seconds"] for point in curve if point["eval_loss"] <= loss), None)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--recipe", default="full-cpu")
    parser.add_argument(
        "--minutes", type=float, default=6.0, help="of training, each contestant (%(default)s)"
    )
    parser.add_argument("--out", default="runs/packing")
    args = parser.parse_args()
    data = _of_some_users(Prepared.load(Path(args.data)))
    recipe = load_recipe(args.recipe, {"valid_windows": 20, **LOG_ALONE})
    found = {
        name: contestant(data, replace(recipe, packed=name == "packed"), args.minutes, Path(args.out) / name)
        for name in ("packed", "plain")
    }
    goal = min(point["eval_loss"] for point in found["plain"]["curve"])
    reached = {name: seconds_to(one["curve"], goal) for name, one in found.items()}
    packed, plain = reached["packed"], reached["plain"]
    summary = {
        "loss": goal,
        "seconds_to_it": reached,
        "speedup": plain / packed if packed and plain else None,
        "tokens_per_label_ratio": found["plain"]["tokens_per_label"] / found["packed"]["tokens_per_label"],
        "labels_per_second_ratio": found["packed"]["labels_per_second"] / found["plain"]["labels_per_second"],
    }
    command = module_command("finetune.bench")
    about = {"recipe": recipe.name, "seed": recipe.seed, "data": data.name, "minutes": args.minutes}
    text = json.dumps({"summary": summary, **about, **provenance(command), **found}, indent=1)
    (Path(args.out) / "packing.json").write_text(text + "\n")
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
