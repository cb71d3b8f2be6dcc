"""`genrec bench`."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from genrec.command import Command, fill
from genrec.errors import UserError
from serve.bench.machine_command import machine

if TYPE_CHECKING:
    from serve.bench.run import Plan

MOST = {"--candidates": 1_000, "--contexts": 100_000, "--clients": 64, "--rounds": 100, "--requests": 10_000}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--candidates", default="10,100", metavar="N,...", help="behind a context (%(default)s)"
    )
    parser.add_argument(
        "--contexts", default="500", metavar="N,...", help="tokens of a context (%(default)s)"
    )
    parser.add_argument(
        "--contestants", metavar="NAME,...", help="some of torch, vllm, generative-scoring, generative-scoring-best "
        "(all that can run here)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, help="each asks every contestant (%(default)s)")
    parser.add_argument(
        "--minutes",
        type=float,
        default=15.0,
        help="of a race, after which each cell gets one round more at most (%(default)s)",
    )
    parser.add_argument(
        "--eager",
        action="store_true",
        help="do not let vLLM compile the model at its defaults: on a CPU that takes minutes at each start",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the prompts (%(default)s)")
    parser.add_argument("--model", help="a model's name or folder (smollm2-135m, or the adapter's weights)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16", help="(%(default)s)")
    parser.add_argument(
        "--adapter", metavar="DIR", help="an adapter's folder: also measure a gateway that serves it"
    )
    parser.add_argument("--data", metavar="DIR", help="the prepared folder (data/NAME, as the adapter says)")
    parser.add_argument(
        "--engine", choices=("auto", "torch", "vllm"), default="auto", help="of the gateway (%(default)s)"
    )
    parser.add_argument("--clients", default="1,4,16", metavar="N,...", help="at once (%(default)s)")
    parser.add_argument(
        "--requests", type=int, default=48, help="in all, for each number of clients (%(default)s)"
    )
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")


def _serve(args: argparse.Namespace) -> int:
    import json

    from genrec.files import file_written_whole
    from genrec.provenance import provenance
    from serve.bench.run import measured
    from serve.bench.table import table

    plan = _plan(args)
    with _ended_in_order():
        figures = measured(plan)
    report = {"model": args.model or str(args.adapter or "smollm2-135m"), **figures, **provenance()}
    if args.out:
        with file_written_whole(Path(args.out)) as part:
            part.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    print(table(report))
    return 0


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM kills the servers, of which some stand still and would outlive this process, and unwinds. Whatever their
    death makes fail meanwhile, the exit status is the signal's."""
    from serve.bench.processes import kill_all

    status = 128 + signal.SIGTERM
    ending = False

    def end(*_: object) -> None:
        nonlocal ending
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ending = True
        kill_all()
        sys.exit(status)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except Exception:
        if ending:
            sys.exit(status)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _plan(args: argparse.Namespace) -> "Plan":
    """Everything that can be wrong is said before anything is loaded."""
    from prompts.base_files import BUILT_IN, locate
    from prompts.dtypes import runnable
    from prompts.language_model import load_tokenizer
    from serve.bench import contestants
    from serve.bench.run import Plan

    candidates, contexts, clients = (
        _numbers(f"--{name}", getattr(args, name)) for name in ("candidates", "contexts", "clients")
    )
    for option, value in (("--rounds", args.rounds), ("--requests", args.requests)):
        _bounded(option, value)
    named = [name.strip() for name in args.contestants.split(",")] if args.contestants else None
    racing = contestants.chosen(named)
    adapter, data, dtype = _adapter(args)
    if adapter is not None:
        from serve.gateway.run import weights

        folder = weights(adapter)
    else:
        folder = Path(locate(args.model or BUILT_IN))
    if not folder.is_dir():
        raise UserError(
            f"{folder} is not on this machine", "--model", "name a folder that transformers saved"
        )
    _fits(folder, max(contexts))
    return Plan(
        folder, len(load_tokenizer(str(folder))), runnable(dtype), candidates, contexts, racing, args.rounds,
        args.minutes, args.eager, args.seed, adapter, data, args.engine, clients, args.requests,
    )  # fmt: skip


def _adapter(args: argparse.Namespace) -> tuple[Path | None, Path | None, str]:
    """The adapter's folder, its data and its number format."""
    if args.adapter is None:
        if args.data is not None:
            raise UserError("--data is of an adapter", "--data", "name the adapter too: --adapter")
        return None, None, args.dtype
    if args.model is not None:
        raise UserError("The model is the adapter's", "--model", "leave out --model or --adapter")
    from prompts.adapter import AdapterCard

    card = AdapterCard.load(Path(args.adapter))
    return Path(args.adapter), Path(args.data or f"data/{card.data['name']}"), card.dtype


def _numbers(option: str, text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"{option} is {text}", option, "give whole numbers, separated by commas") from error
    for number in found:
        _bounded(option, number)
    return list(dict.fromkeys(found))


def _bounded(option: str, number: int) -> None:
    if not 1 <= number <= MOST[option]:
        raise UserError(f"{option} is {number}", option, f"give 1 to {MOST[option]:,}")


def _fits(folder: Path, context: int) -> None:
    import json

    from serve.bench.workload import CANDIDATE_TOKENS

    limit = json.loads((folder / "config.json").read_text()).get("max_position_embeddings", context)
    most = limit - CANDIDATE_TOKENS - 1  # vLLM writes a token behind each prompt
    if limit != context and context > most:
        raise UserError(f"The model reads {limit:,} tokens", "--contexts", f"give {most:,} at most")


serve = Command(
    "candidates a second beside vLLM's own scoring route, and many clients of a gateway",
    _arguments,
    _serve,
    about="Score the same candidates behind the same contexts with each contestant in turn, round after round, so\n"
    "that what else the machine does touches all of them alike; compare the ratios, not the rates of two runs.\n\n"
    "  torch                     the torch engine, in process\n"
    "  vllm                      vLLM in process: a context is read once, then its questions\n"
    "  generative-scoring        vLLM's own route /generative_scoring, as it comes: the baseline\n"
    "  generative-scoring-best   the same with the settings that serve it best\n\n"
    "cold: the context is new to the engine. warm: it has read it, the candidates are new. `of limit` is the share of\n"
    "what this machine's matrix products would allow, measured in the same run. With --adapter the same is asked\n"
    "through a gateway of its own and directly from its engine, on the log's users; then many clients at once ask\n"
    "that gateway, each request once. Ctrl-C ends a race, and what is whole is reported.\n"
    "Everything listens on Unix sockets and 127.0.0.1 only.",
    examples=[
        "genrec bench serve",
        "genrec bench serve --candidates 10,100,1000 --contexts 500,1000,4000 --out speed.json",
        "genrec bench serve --contestants torch,generative-scoring-best --rounds 5",
        "genrec bench serve --adapter runs/movielens-100k/adapter --contestants torch",
    ],
)


def _bench_arguments(parser: argparse.ArgumentParser) -> None:
    machine.add_arguments(parser)
    actions = parser.add_subparsers(dest="action", metavar="", title="other measurements")
    fill(actions.add_parser("serve", help=serve.help), serve)


def _bench(args: argparse.Namespace) -> int | None:
    return (machine if args.action is None else serve).run(args)


bench = replace(machine, add_arguments=_bench_arguments, run=_bench)
