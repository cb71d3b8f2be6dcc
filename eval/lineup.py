"""Which baselines stand beside our model, task by task."""

from collections.abc import Callable

from eval.recent_history import RECENT_LINES
from eval.recommender import Recommender
from genrec.chain import CHAIN, CTCVR
from genrec.dataset import Prepared
from genrec.stated import stated


def lineup(
    data: Prepared, task: str, seed: int = 0, quick: bool = False, history: int = RECENT_LINES
) -> list[Callable[[], Recommender]]:
    """Makers of the baselines for a task, the plainest first; nothing is fitted yet. quick: fewer settings are
    searched, for a demo; a claim is made against the full search. history: how many of a user's latest lines tabular
    models read.

    The libraries behind them (`pip install -e ".[baselines]"`) are imported here, so that reading results needs none.
    """
    from eval.baselines.bg_nbd import BgNbd
    from eval.baselines.gbdt import Gbdt
    from eval.baselines.itemknn import QUICK, ItemKnn
    from eval.baselines.logistic import Logistic
    from eval.baselines.means import Means
    from eval.baselines.popularity import Popularity
    from eval.baselines.prior import Prior
    from eval.baselines.stated import Stated

    drawn = 0 if quick else 8
    tabular: list[Callable[[], Recommender]] = [
        lambda: Logistic(history),
        lambda: Gbdt(drawn, seed, history=history),
    ]
    if task == CTCVR or stated(data.tasks[task]):
        tabular.append(lambda: Gbdt(drawn, seed, from_stated=True, history=history))
    if task == CTCVR or data.tasks[task].label["rule"] == "follows":
        means = [lambda: Means("user"), lambda: Means("item"), lambda: Means("both")]
        said = [Stated] if task == CTCVR or stated(data.tasks[task]) else []
        return [Prior, *means, *said, *_towers(task, seed, quick), *tabular]
    rule, kind = data.tasks[task].label["rule"], data.tasks[task].kind
    if kind == "item":
        return [Popularity, Stated, lambda: ItemKnn(QUICK if quick else None)]
    if rule == "returns":
        return [Prior, lambda: Means("user"), Stated, BgNbd, *tabular]
    return [Prior, *tabular] if kind == "binary" else [Prior]


def _towers(task: str, seed: int, quick: bool) -> list[Callable[[], Recommender]]:
    """Its two heads are click and convert."""
    if task not in (*CHAIN, CTCVR):
        return []
    from eval.baselines.two_tower import TwoTower, searched

    return [lambda: TwoTower(searched(1 if quick else 12, seed), seed)]
