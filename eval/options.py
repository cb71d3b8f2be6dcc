"""What one run of `genrec eval` measures, and how much of it."""

from dataclasses import dataclass
from pathlib import Path

from eval.recent_history import RECENT_LINES
from serve.node_budget import NODES


@dataclass(frozen=True)
class Options:
    """The options of a run; `genrec eval --help` says the same in its words."""

    # The tasks to measure; all that can be where there are none.
    tasks: tuple[str, ...] = ()
    # "valid" while choosing; "test" once for a claim.
    split: str = "valid"
    # Examples sampled per task, None for all.
    rows: int | None = None
    # How many users they are of, each with at most rows / users of them; None for whole users.
    users: int | None = None
    # Examples of the next item, which cost a catalog search each; None for all.
    list_rows: int | None = 500
    # The k of HR@k, NDCG@k and their like; models are compared at the first.
    ks: tuple[int, ...] = (10,)
    # Validation examples sampled per task for calibration and thresholds where test is measured; None: as `rows`.
    valid_rows: int | None = None
    # Paths of the catalog's trie that a search for next items extends at most; 0 for as many as it takes to be exact.
    nodes: int = NODES
    # "running" or "frozen" statistics; "" for those that the adapter was trained on, running without an adapter.
    regime: str = ""
    # The protocol that the data must be split by; "" for any.
    protocol: str = ""
    # Files of other models' predictions.
    predictions: tuple[Path, ...] = ()
    # Whether the baselines take part.
    baselines: bool = True
    # Whether the untrained model takes part.
    untrained: bool = True
    # Whether the adapter is also measured with prompts that hold no statistics.
    without_stats: bool = False
    # Whether wordings kept out of training are measured.
    ask: bool = True
    # How many of a user's latest history lines tabular baselines read; with an adapter as many as its window holds.
    history: int = RECENT_LINES
    # Whether the baselines search few settings only.
    quick: bool = False
    # What runs the model: a kind of serve.engines.
    engine: str = "auto"
    # The seed of samples, bootstrap and baselines.
    seed: int = 0
    # Resamples of the bootstrap.
    repeats: int = 1000
