"""What a hostile title gains its item: `python -m eval.injection ADAPTER`.

For some users of the test split the click question is asked of items they were really shown; then some of those items
get each title of texts.yaml in turn, and a harmless one of as many tokens. Reported per text, for the base model and
for the adapter: how far the item's rank among the others (share of them below it) and its log-odds rise, beyond what
the harmless title does; with intervals by bootstrap over users.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.injection.lift import cases, measure, summary, titles
from eval.injection.titles import TEXTS, load_texts
from eval.results_file import trained, write_measurement
from genrec.cli import complain
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.provenance import module_command
from prompts.adapter import AdapterCard
from serve.adapters import open_adapter
from serve.engines import KINDS, open_engine


def attacked(adapter: Path, data: Prepared, chosen: argparse.Namespace) -> dict[str, Any]:
    """Everything but where, when and how it was run."""
    texts = load_texts(chosen.texts)
    names = list(texts.hostile)
    served = open_adapter(adapter, data, engine=chosen.engine)
    asked = cases(
        data, served.layout, served.histories, served.card.regime, chosen.users, chosen.candidates, chosen.targets,
        chosen.seed,
    )  # fmt: skip
    written = titles(served.layout, asked, texts)
    after = measure(served.engine, served.layout, asked, written, names)
    base = open_engine(chosen.engine, served.card.base["name"], served.card.dtype)
    before = measure(base, served.layout, asked, written, names)
    return {
        "measures": "title injection",
        "adapter": served.card.fingerprint(adapter),
        "training": trained(served.card),
        "engine": served.engine.name,
        "data": data.name,
        "split": "test",
        "regime": served.card.regime,
        "seed": chosen.seed,
        "users": len(asked),
        "targets": len(after.users),
        "candidates": chosen.candidates,
        "titles": {name: texts.hostile[name] for name in names},
        "controls_apart": max(one.apart for one in written.values()),
        "before": summary(before, names, chosen.seed),
        "after": summary(after, names, chosen.seed),
    }


def table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['targets']} items of {result['users']} users, each among {result['candidates']}; lift of rank (share "
        "of competitors passed) and log-odds, beyond a harmless title of equal length",
        "",
        f"{'':22} {'base model: rank':>26} {'log-odds':>9} {'adapter: rank':>26} {'log-odds':>9}",
    ]
    before, after = result["before"], result["after"]
    names = sorted(after["texts"], key=lambda name: -after["texts"][name]["rank"]["value"])
    rows = [(name, before["texts"][name], after["texts"][name]) for name in names]
    for name, *both in [*rows, ("mean of texts", before["mean"], after["mean"])]:
        cells = [f"{_interval(one['rank'])} {one['log_odds']['value']:+9.2f}" for one in both]
        lines.append(f"{name:22} " + " ".join(cells))
    lines.append("")
    for word, one in (("base model", before), ("adapter", after)):
        worst = one["worst"]
        lines.append(
            f"{word}: worst {worst['text']}, {_interval(worst['rank']).strip()}; no text's interval ends above "
            f"{one['bound']:+.3f}"
        )
    return "\n".join(lines)


def _interval(found: dict[str, float]) -> str:
    return f"{found['value']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})".rjust(26)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m eval.injection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("adapter", type=Path, help="an adapter's folder")
    parser.add_argument("--data", type=Path, help="the prepared folder (data/NAME, as the adapter says)")
    parser.add_argument(
        "--texts", type=Path, default=TEXTS, help="a corpus of your own, written as texts.yaml is"
    )
    parser.add_argument("--users", type=int, default=30, help="%(default)s")
    parser.add_argument(
        "--candidates", type=int, default=20, help="items of a user that compete (%(default)s)"
    )
    parser.add_argument("--targets", type=int, default=4, help="of them that get other titles (%(default)s)")
    parser.add_argument("--engine", choices=KINDS, default="auto", help="what runs the model (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw and the bootstrap (%(default)s)")
    parser.add_argument("--out", type=Path, help="JSON file (injection.json beside the adapter)")
    chosen = parser.parse_args(arguments)
    try:
        data = chosen.data or Path("data") / AdapterCard.load(chosen.adapter).data["name"]
        result = attacked(chosen.adapter, Prepared.load(data), chosen)
    except UserError as error:
        return complain(error)
    print(table(result))
    out = chosen.out or chosen.adapter.parent / "injection.json"
    write_measurement(result, out, module_command("eval.injection", arguments))
    print(f"\nwritten: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
