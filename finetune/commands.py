"""`genrec train`."""

import argparse
from pathlib import Path

from genrec.command import Command

RECIPES = Path(__file__).parent / "recipes"


def _recipes() -> str:
    """The shipped recipes, each with what its first line says of it."""
    return "\n".join(
        f"  {path.stem:<10}  {path.read_text(encoding='utf-8').partition(chr(10))[0].removeprefix('# ')}"
        for path in sorted(RECIPES.glob("*.yaml"))
    )


ABOUT = f"""\
Fine-tune a LoRA adapter on the mixed instructions of a prepared data set: every task at once.

A run lives in one folder: checkpoints, its steps and their schedule, and at the end `adapter/`.
Run the same command again after a crash or Ctrl-C and it continues from the newest complete checkpoint.

A run by the clock (--minutes) takes as many steps as the machine has time for; its last evaluation and the writing
of the adapter are part of the minutes. What came of it is recorded, and --replay trains with exactly those steps
and learning rates again, on a machine of any speed. Give one of --minutes, --steps and --replay at most.

A recipe decides everything else. One of your own is a YAML file of the fields that differ (docs/training.md):

{_recipes()}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        default="data/movielens-100k",
        help="a folder that `genrec data prepare` wrote (%(default)s)",
    )
    parser.add_argument(
        "--recipe", default="demo-cpu", help="a shipped recipe's name or a path to your own (%(default)s)"
    )
    parser.add_argument("--out", metavar="DIR", help="the run's folder (runs/DATA-RECIPE)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="train this long by the clock, from the first step to the written adapter (as the recipe says)",
    )
    length.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="train exactly this many steps (as the recipe says)",
    )
    length.add_argument(
        "--replay",
        metavar="RUN",
        help="take steps and learning rates from an earlier run's folder, or from its steps.json",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of the data order, the adapter's start and the mixture (the recipe's, 0)",
    )
    parser.add_argument(
        "--report-to",
        metavar="NAME",
        help="tensorboard, wandb, mlflow: whatever TRL's trainer takes and is installed (none)",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="delete the run in this folder, all of it, once nothing is refused",
    )


def run(args: argparse.Namespace) -> int:
    from finetune.recipe import load_recipe
    from finetune.run import STEPS
    from finetune.run import train as train_run
    from genrec.dataset import Prepared
    from genrec.files import place_named
    from genrec.progress import Progress

    given = {"minutes": args.minutes, "steps": args.steps, "seed": args.seed, "report_to": args.report_to}
    changes = {field: value for field, value in given.items() if value is not None}
    if args.minutes is not None:
        changes["steps"] = None  # the recipe's would decide
    recipe = load_recipe(args.recipe, changes)
    data = Prepared.load(Path(args.data))
    out = Path(args.out or f"runs/{data.name}-{recipe.name}")
    replay = None if args.replay is None else Path(args.replay)
    replay = replay / STEPS if replay and replay.is_dir() else replay
    with place_named(out), Progress(str(out)):
        folder = train_run(data, recipe, out, args.restart, replay)
    print(f"adapter: {folder}")
    return 0


train = Command(
    "fine-tune a LoRA adapter on all tasks at once; resumable",
    add_arguments,
    run,
    about=ABOUT,
    examples=[
        "genrec train",
        "genrec train data/shop --recipe full-cpu --seed 1",
        "genrec train data/shop --recipe mine.yaml --out runs/mine",
        "genrec train --minutes 30 --report-to tensorboard",
        "genrec train --replay runs/movielens-100k-demo-cpu --seed 1 --out runs/seed-1",
    ],
)
