"""Results as tables: which figures are shown of a task, in which order, in which words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Result = Mapping[str, Any]
NEITHER = frozenset({"pcoc", "recall"})  # 1 is right; always saying yes recalls everything
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "ece"})
COLUMNS = {
    "binary": (
        "auc", "log_loss", "gauc", "uauc", "brier", "accuracy", "accuracy_at_valid_threshold", "recall", "ece", "pcoc",
    ),
    "item": ("hit_rate", "ndcg", "mrr", "coverage"),  # each at one k or more
    "choice": ("accuracy", "log_loss"),
}  # fmt: skip
WORDS = {
    "auc": "AUC", "log_loss": "log loss", "gauc": "GAUC", "uauc": "UAUC", "brier": "Brier/MSE", "accuracy": "accuracy",
    "accuracy_at_valid_threshold": "accuracy*", "recall": "recall", "ece": "ECE", "pcoc": "PCOC",
    "hit_rate": "HR", "ndcg": "NDCG", "mrr": "MRR", "coverage": "coverage",
}  # fmt: skip
MAIN = {"binary": ("auc", "log_loss"), "item": ("hit_rate", "ndcg"), "choice": ("accuracy", "log_loss")}
ENOUGH_USERS = 50  # fewer are flagged: a bootstrap over so few users gives intervals that are too narrow
TRIVIAL = "prior"  # a constant: whatever it is best at, such as ECE, needs no model
FOOT = (
    "Intervals: 95%, by bootstrap over users. Accuracy and recall: threshold .5; accuracy*: the threshold that was "
    "best on the valid split. ECE: 15 bins of equal mass, corrected for the noise that the bootstrap sees. PCOC: "
    "predicted over observed. Calibrated: a line in log-odds, fitted on the valid split; pairs are compared before it. "
    "Wins, loses: the interval is clear of zero. Bold: the best; the prior, a constant, is not ranked."
)
CHOOSING = (
    " For choosing, not for a claim: baselines chose their settings on these examples, and calibrated figures are left "
    "out, since the calibration is fitted on them."
)
ORDER = ("click", "convert", "ctcvr", "return", "next")
SEED = {
    "click": (0.845, 0.045),
    "convert": (0.789, 0.087),
}  # its accuracy and MSE, on data that it does not name


@dataclass(frozen=True)
class Group:
    """Results that may stand in one table: the same task, data, split and regime."""

    task: str
    data: str
    split: str
    regime: str
    results: tuple[Result, ...]

    @property
    def kind(self) -> str:
        """binary | item | choice."""
        found = self.results[0]["metrics"]
        if any(name.startswith("hit_rate@") for name in found):
            return "item"
        return "binary" if "auc" in found else "choice"

    @property
    def columns(self) -> list[str]:
        """The metrics that any of the results has; of lists each at every k."""
        there = list(dict.fromkeys(name for r in self.results for name in r["metrics"]))
        if self.kind != "item":
            return [name for name in COLUMNS[self.kind] if name in there]
        return [name for of in COLUMNS["item"] for name in there if name.partition("@")[0] == of]

    @property
    def main(self) -> tuple[str, str]:
        """The two metrics that models are ranked and compared by; of lists those at the first k."""
        first, second = MAIN[self.kind]
        if self.kind != "item":
            return first, second
        k = next(name for name in self.columns if name.startswith("hit_rate@")).partition("@")[2]
        return f"{first}@{k}", f"{second}@{k}"

    @property
    def n_users(self) -> int:
        """The users behind the figures; the fewest where the results differ."""
        return min(int(r["n_users"]) for r in self.results)

    @property
    def few_users(self) -> bool:
        """Whether they are too few for intervals by users."""
        return self.n_users < ENOUGH_USERS

    def name(self, result: Result) -> str:
        """The model's, with its seed where it stands here with several."""
        seeds = {r["seed"] for r in self.results if r["model"] == result["model"]}
        return str(result["model"]) + (f", seed {result['seed']}" if len(seeds) > 1 else "")

    @property
    def title(self) -> str:
        return f"{self.task} on {self.data}"

    def sorted(self) -> list[Result]:
        """The best by the first main metric on top; what has no value last."""
        name = self.main[0]
        values = {id(r): r["metrics"].get(name, {}).get("value") for r in self.results}
        return sorted(self.results, key=lambda r: (values[id(r)] is None, -(values[id(r)] or 0.0)))

    def best(self, column: str) -> float | None:
        """The best value of a column; None where neither direction is better by itself, or nothing is compared. The
        trivial prior is left out."""
        rivals = [r for r in self.results if r["model"] != TRIVIAL]
        values = [v for r in rivals if (v := r["metrics"].get(column, {}).get("value")) is not None]
        if len(values) < 2 or column in NEITHER:
            return None
        return float(min(values) if column in LOWER_IS_BETTER else max(values))

    def is_best(self, result: Result, column: str) -> bool:
        """Whether a result is set bold in a column."""
        value = result["metrics"].get(column, {}).get("value")
        return value is not None and result["model"] != TRIVIAL and value == self.best(column)


def groups(results: Sequence[Result]) -> list[Group]:
    """By task, in the order of the funnel, then by data, split and regime."""
    found: dict[tuple[str, str, str, str], list[Result]] = {}
    for result in results:
        found.setdefault((result["task"], result["data"], result["split"], result["regime"]), []).append(
            result
        )

    def place(key: tuple[str, str, str, str]) -> tuple[Any, ...]:
        return key[1], ORDER.index(key[0]) if key[0] in ORDER else len(ORDER), key

    return [Group(*key, tuple(found[key])) for key in sorted(found, key=place)]


def word(metric: str) -> str:
    """A metric as the tables call it: "AUC", "HR@10"."""
    name, at, k = metric.partition("@")
    return WORDS[name] + at + k


def few_users(group: Group) -> str:
    """What a table says where its users are too few; "" where they are enough."""
    if not group.few_users:
        return ""
    return (
        f"Only {group.n_users:,} users: below {ENOUGH_USERS}, intervals by users are not to be trusted, "
        "nor the wins that rest on them."
    )


def figure(metric: Mapping[str, Any] | None) -> str:
    """Four digits, "-" where there is no value."""
    value = None if metric is None else metric.get("value")
    return "-" if value is None else f"{value:.4f}"


def between(metric: Mapping[str, Any] | None) -> str:
    """The interval, "0.751–0.779"; empty where there is none."""
    low, high = (None if metric is None else metric.get(end) for end in ("low", "high"))
    return "" if low is None or high is None else f"{low:.3f}–{high:.3f}"


def signed(value: float | None) -> str:
    """Four digits with their sign, "-" where there is no value, as with the interval of a single user."""
    return "-" if value is None else f"{value:+.4f}"


def verdict(pair: Mapping[str, Any]) -> str:
    """wins | loses: the whole interval is on the better side of zero, or on the worse; undecided."""
    if pair["wins"]:
        return "wins"
    if None in (pair["low"], pair["high"]):
        return "undecided"
    lower = pair["metric"] in LOWER_IS_BETTER
    return "loses" if (pair["low"] > 0 if lower else pair["high"] < 0) else "undecided"


@dataclass(frozen=True)
class Pairing:
    """One model against another: the pair of each metric, by its name."""

    result: Result
    name: str
    against: str
    pairs: Mapping[str, Mapping[str, Any]]


def pairings(group: Group) -> list[Pairing]:
    """Every comparison of a group's results, the best model first."""
    found = []
    for result in group.sorted():
        by_other: dict[str, dict[str, Mapping[str, Any]]] = {}
        for pair in result["paired"]:
            by_other.setdefault(pair["against"], {})[pair["metric"]] = pair
        found += [Pairing(result, group.name(result), other, pairs) for other, pairs in by_other.items()]
    return found


def about(group: Group) -> str:
    """One sentence on what was measured."""
    first = group.results[0]
    if len(sizes := {r["n"] for r in group.results}) > 1:
        return (
            f"{group.split} split{_protocol(first)}, {_regime(group)}: {min(sizes):,} to {max(sizes):,} "
            "examples, not the same for all: compare in pairs."
        )
    sampled = f", {_sample(first)}" if first.get("sampled") else ""
    share = (
        f", {first['positives'] / first['n']:.1%} yes"
        if first.get("positives") and not first["unscored"]
        else ""
    )
    return (
        f"{group.split} split{_protocol(first)}, {_regime(group)}: "
        f"{first['n']:,} examples of {first['n_users']:,} users{share}{sampled}.{CHOOSING * (group.split == 'valid')}"
    )


def unfinished(pending: Sequence[str]) -> str:
    """What a report says of a run that was not done when it was written."""
    return (
        f"Not finished when this was written. Still missing: {'; '.join(pending)}. "
        "The same command measures it: answers that the language model gave are kept, baselines are fitted anew."
    )


def _regime(group: Group) -> str:
    """The statistics that are read, and those that an adapter was trained on where they are others."""
    trained = sorted({r["trained_regime"] for r in group.results if "trained_regime" in r} - {group.regime})
    said = f" (the adapter was trained on {' and '.join(trained)} ones)" if trained else ""
    return f"{group.regime} statistics{said}"


def _protocol(result: Result) -> str:
    """Named where it is not the usual one."""
    name = result.get("protocol", "time")
    return f" of {name}" if name not in ("", "time") else ""


def _sample(result: Result) -> str:
    """Older results do not say what was drawn, nor of how many."""
    how = {
        "users": " by whole users",
        "blocks": f": at most {result.get('sampled_per_user')} consecutive ones of a user",
        "rows": " by single examples",
    }.get(result.get("sampled_by", ""), "")
    return "a sample" + (f" of {result['sampled_of']:,}" if how else "") + how


def seed_figures(results: Sequence[Result]) -> list[dict[str, Any]]:
    """CTR accuracy and MSE, CVR accuracy and MSE of every model that has both, data set by data set."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for group in groups(results):
        for result in group.results:
            if group.task in SEED and "accuracy" in result["metrics"]:
                key = (group.data, group.split, group.regime, group.name(result))
                about = {
                    "data": group.data,
                    "model": result["model"],
                    "regime": group.regime,
                    "name": key[-1],
                }
                accuracy, brier = (figure(result["metrics"].get(name)) for name in ("accuracy", "brier"))
                rows.setdefault(key, about)[group.task] = (accuracy, brier)
    return [row for row in rows.values() if all(task in row for task in SEED)]


@dataclass(frozen=True)
class Origin:
    """Results of one command in one environment. models: by task; dates: the first and the last; adapters: the sha256
    of the weights of those that took part."""

    command: str
    about: str
    dates: tuple[str, str]
    models: Mapping[str, Sequence[str]]
    adapters: Sequence[str] = ()


def origins(results: Sequence[Result]) -> list[Origin]:
    """What it takes to make the results again, each command once."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
        about = f"{result['machine']}, genrec {result['genrec_version']}{_commit(result)}"
        about += versions and f"; {versions}"
        found.setdefault((result["command"], about), []).append(result)
    made = []
    for (command, about), mine in found.items():
        models = {
            f"{group.title}, {group.split}, {group.regime}": [group.name(r) for r in group.sorted()]
            for group in groups(mine)
        }
        dates = sorted(r["date"] for r in mine)
        adapters = sorted({r["adapter_sha256"] for r in mine if "adapter_sha256" in r})
        made.append(Origin(command, about, (dates[0], dates[-1]), models, adapters))
    return made


def _commit(result: Result) -> str:
    """The commit that the program was of; "" where a result does not say."""
    if not result.get("commit"):
        return ""
    return f" at {result['commit'][:12]}{' with uncommitted changes' * bool(result.get('dirty'))}"
