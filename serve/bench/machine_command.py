"""`genrec bench` itself: one table of what this machine does in a second."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genrec.command import Command

if TYPE_CHECKING:
    from serve.bench.machine import BenchRow, MachinePlan

QUICK: dict[str, Any] = {"users": 40, "steps": 10, "candidates": (1, 20, 100), "rounds": 1, "lists": 1}
WHOLE: dict[str, Any] = {
    "users": 200,
    "steps": 30,
    "candidates": (1, 20, 100, 1_000),
    "rounds": 3,
    "lists": 3,
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quick", action="store_true", help="a smaller log, fewer steps and rounds, and no 1,000 candidates"
    )
    parser.add_argument("--model", help="a model's name or folder (smollm2-135m)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16", help="(%(default)s)")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")


def _run(args: argparse.Namespace) -> int:
    import json
    import tempfile

    from genrec.errors import UserError
    from genrec.files import file_written_whole
    from genrec.provenance import provenance
    from prompts.base_files import BUILT_IN, locate
    from prompts.dtypes import runnable
    from serve.bench.machine import MachinePlan, load_average, measured, processor_kind

    model = Path(locate(args.model or BUILT_IN))
    if not model.is_dir():
        raise UserError(f"{model} is not on this machine", "--model", "name a folder that transformers saved")
    size = QUICK if args.quick else WHOLE
    plan = MachinePlan(model=model, dtype=runnable(args.dtype), **size)
    load = [load_average()]
    with tempfile.TemporaryDirectory(prefix="genrec-bench-") as place:
        rows, flops = measured(plan, Path(place))
    load.append(load_average())
    facts = provenance()
    print(table(rows, flops, plan))
    print(f"\nload average {load[0]} before, {load[1]} after; {facts['machine']}, {processor_kind()}")
    if args.out:
        report = {
            "model": args.model or BUILT_IN, "dtype": plan.dtype, "instructions": processor_kind(),
            "load_average": {"before": load[0], "after": load[1]}, "matmul_gflops": round(flops / 1e9, 1),
            "plan": size, "rows": [_rounded(row) for row in rows], **facts,
        }  # fmt: skip
        with file_written_whole(Path(args.out)) as part:
            part.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    return 0


def table(rows: "list[BenchRow]", flops: float, plan: "MachinePlan") -> str:
    """One line a row. `of limit`: the share of what the matrix products alone would allow."""
    lines = [
        f"{'':<24} {'rate':>10} {'':<14} {'of limit':>8} {'seconds':>8} {'CPU s':>8}",
        f"{'matrix products':<24} {flops / 1e9:>10.4g} {'GFLOP/s':<14} {'':>8} {'':>8} {'':>8}  {plan.dtype}",
    ]
    for row in rows:
        share = "" if row.share is None else f"{row.share:.0%}"
        lines.append(
            f"{row.name:<24} {row.value:>10.4g} {row.unit:<14} {share:>8} {row.seconds:>8.3g} {row.cpu_seconds:>8.3g}"
        )
    return "\n".join(lines)


def _rounded(row: "BenchRow") -> dict[str, Any]:
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in row._asdict().items()
    }


machine = Command(
    "how fast this machine trains, scores, lists, prepares and starts, as one table",
    _arguments,
    _run,
    about="Measure this machine: the rate of its matrix products, `data prepare` on a simulated shop, training on it\n"
    "as the recipe full-cpu does (one window a step), scoring candidates behind 500 tokens that are new to the\n"
    "engine (cold) or that it has read (warm), a top ten, and how long the commands take to start.\n"
    "`of limit` is the share of what the matrix products alone would allow, at the rate measured in the same run.\n"
    "Run it on an idle machine. `genrec bench serve` compares the engines with vLLM's own scoring route.",
    examples=["genrec bench --quick", "genrec bench --out speed.json", "genrec bench serve"],
)
