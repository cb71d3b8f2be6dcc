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

A run lives in one folder: checkpoints, the step count that its time budget bought, and at the end `adapter/`.
Run the same command again after a crash or Ctrl-C and it continues from the newest complete checkpoint.

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
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="train about this long; turned into a step count by a probe (as the recipe says)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="train exactly this many steps: replays a recorded run (as the recipe says)",
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
        "--restart", action="store_true", help="delete the run in this folder first, all of it"
    )


def run(args: argparse.Namespace) -> int:
    import shutil

    from finetune.recipe import load_recipe
    from finetune.run import train as train_run
    from genrec.dataset import Prepared

    given = {"minutes": args.minutes, "steps": args.steps, "seed": args.seed, "report_to": args.report_to}
    recipe = load_recipe(args.recipe, {k: v for k, v in given.items() if v is not None})
    data = Prepared.load(Path(args.data))
    out = Path(args.out or f"runs/{data.name}-{recipe.name}")
    if args.restart and (out / "run.json").exists():
        shutil.rmtree(out)
    folder = train_run(data, recipe, out)
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
    ],
)
