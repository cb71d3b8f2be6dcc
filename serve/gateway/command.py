"""`genrec serve` and `genrec keys`."""

import argparse
import sys

from genrec.command import Command
from genrec.errors import UserError

KEYS = "runs/keys.json"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--adapter", metavar="DIR", help="an adapter's folder (the newest under --runs)")
    parser.add_argument(
        "--runs", metavar="DIR",
        help="the folder of runs, which /admin/swap does not leave (where the adapter's run lies, or runs)",
    )  # fmt: skip
    parser.add_argument("--data", metavar="DIR", help="the prepared folder (data/NAME, as the adapter says)")
    parser.add_argument(
        "--engine", choices=("auto", "torch", "vllm"), default="auto",
        help="what runs the model: vLLM where it is installed, else torch (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="(%(default)s)")
    parser.add_argument("--keys", default=KEYS, metavar="FILE", help="API keys, as hashes (%(default)s)")
    parser.add_argument("--name", default="genrec", help="what clients call the model (%(default)s)")
    parser.add_argument(
        "--waiting-tokens", type=int, metavar="N", default=200_000,
        help="admitted and not yet answered; what is more is refused with 429 (%(default)s)",
    )  # fmt: skip


def _serve(args: argparse.Namespace) -> int:
    from serve.gateway.run import run

    if not 0 < args.port < 65_536:
        raise UserError(f"--port is {args.port}", where="--port", cure="give 1 to 65535")
    return run(args)


serve = Command(
    "answer over HTTP: predictions, recommendations, OpenAI's routes",
    _arguments,
    _serve,
    about="One command, two processes: a gateway that clients talk to, and an engine that runs the model behind a\n"
    "Unix socket. The gateway starts the engine, and starts it again when it dies. The first start writes the merged\n"
    "weights beside the adapter and, where there are no keys yet, prints one. /openapi.json describes every route.",
    examples=["genrec serve", "genrec serve --engine torch --port 9000"],
)


def _keys_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("add", "list", "revoke"),
        help="add a key, printed once; list those of FILE; take one out",
    )
    parser.add_argument("name", nargs="?", help="whose it is: users of one name share cached prefixes")
    parser.add_argument(
        "--scopes", default="predict,openai", help="of a new key: predict, openai, admin (%(default)s)"
    )
    parser.add_argument("--keys", default=KEYS, metavar="FILE", help="(%(default)s)")


def _keys(args: argparse.Namespace) -> int:
    from pathlib import Path

    from serve.gateway.keys import add, listed, revoke

    path, name = Path(args.keys), args.name
    if (name is None) != (args.action == "list"):
        cure = "genrec keys list" if name is not None else f"genrec keys {args.action} NAME"
        raise UserError(
            f"genrec keys {args.action} takes {'a' if name is None else 'no'} name", cure=f"write `{cure}`"
        )
    if args.action == "list":
        for key in listed(path):
            print(f"{key.name:<23} {', '.join(key.scopes)}")
    elif args.action == "revoke":
        revoke(path, name)
        print(f"revoked {name}; a server that runs knows the key until it starts anew")
    else:
        print(add(path, name, tuple(scope.strip() for scope in args.scopes.split(","))))
        print("a server that runs does not know it until it starts anew", file=sys.stderr)
    return 0


keys = Command(
    "API keys of the server",
    _keys_arguments,
    _keys,
    about="Keys are kept as hashes: what is printed here is not to be had again. A server reads them when it starts.",
    examples=["genrec keys add operator --scopes admin", "genrec keys list", "genrec keys revoke shop"],
)
