"""BG/NBD: when will a customer who has bought before buy again? Counts and times alone, no features.

Fader, Hardie and Lee, "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model, Marketing
Science 2005. Our own, because lifetimes is no longer maintained, PyMC-Marketing brings thirty packages and a
compiler, and neither answers for a window that begins after a gap.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1

from eval.recommender import Floats, Rows
from eval.training import learnable_until, task_of
from genrec.dataset import Prepared
from genrec.durations import DAY, microseconds
from genrec.labels import event_frame


class Purchases(NamedTuple):
    """Per customer (n,): repeats = days with a purchase after the first one; last and age in one unit of time, counted
    from the first purchase to the last one and to now."""

    repeats: Floats
    last: Floats
    age: Floats


class Parameters(NamedTuple):
    """Purchase rates are Gamma(r, alpha); a customer is lost after each purchase with probability p ~ Beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float


def log_likelihood(parameters: Parameters, seen: Purchases) -> Floats:
    """(n,) equation (6) of the paper."""
    r, alpha, a, b = parameters
    x, last, age = seen
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b)
    alive = -(r + x) * np.log(alpha + age)
    many = np.maximum(x, 1)
    lost = np.log(a) - np.log(b + many - 1) - (r + x) * np.log(alpha + last)
    return np.asarray(common + np.where(x > 0, np.logaddexp(alive, lost), alive), dtype=np.float64)


def fit_parameters(seen: Purchases) -> Parameters:
    """Maximum likelihood over the four logarithms."""
    scale = max(float(seen.age.mean()), 1e-9)  # so that alpha starts near 1, whatever the unit
    unit = Purchases(seen.repeats, seen.last / scale, seen.age / scale)

    def loss(logs: Floats) -> float:
        return -float(log_likelihood(Parameters(*np.exp(logs)), unit).mean())

    found = minimize(
        loss, np.zeros(4), method="L-BFGS-B", bounds=[(-7, 7)] * 4, options={"ftol": 1e-13, "gtol": 1e-8}
    )
    r, alpha, a, b = np.exp(found.x)
    return Parameters(float(r), float(alpha * scale), float(a), float(b))


def p_purchase(parameters: Parameters, seen: Purchases, gap: Floats, horizon: Floats) -> Floats:
    """P(at least one purchase in (now + gap, now + gap + horizon] | history), exact, all (n,).

    Alive now, rate ~ Gamma(s = r + x, A = alpha + age) and p ~ Beta(a, b + x). A Poisson stream whose every event loses
    the customer with probability p leaves her with exp(-rate p gap) after the gap, and silent for the horizon with
    exp(-rate horizon). The mean of exp(-rate p gap) (1 - exp(-rate horizon)) over both is, by Euler's integral of 2F1,

        F(s, a; a+b+x; -gap/A) - (A / (A + horizon))^s F(s, a; a+b+x; -gap/(A + horizon))

    times P(alive), equation (7) of Fader, Hardie and Lee, Computing P(alive) Using the BG/NBD Model, 2008.
    """
    r, alpha, a, b = parameters
    x, last, age = seen
    s, now = r + x, alpha + age
    lost = np.exp(np.log(a) - np.log(b + np.maximum(x, 1) - 1) + s * (np.log(now) - np.log(alpha + last)))
    alive = 1 / (1 + np.where(x > 0, lost, 0.0))
    before = hyp2f1(s, a, a + b + x, -gap / now)
    through = np.exp(s * (np.log(now) - np.log(now + horizon))) * hyp2f1(
        s, a, a + b + x, -gap / (now + horizon)
    )
    return np.asarray(np.clip(alive * (before - through), 0.0, 1.0), dtype=np.float64)


class BgNbd:
    """Every return task; a purchase is a day with an event of the task's kind, fitted on what training may know of each
    user (learnable_until). NaN for a user without history."""

    name = "BG/NBD"

    def fit(self, data: Prepared, regime: str) -> None:
        self.frame = event_frame(data.tables.events)
        self.parameters: dict[str, Parameters] = {}
        for task in data.tasks.values():
            if task.label["rule"] == "returns":
                until = learnable_until(data, task.name)
                users = np.array(list(until), dtype=object)
                seen = self._seen(data, task.name, users, np.array([*until.values()], dtype=np.int64))
                known = np.isfinite(seen.age)
                self.parameters[task.name] = fit_parameters(Purchases(*(column[known] for column in seen)))

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = data.tasks[task_of(data, rows)]
        if task.name not in self.parameters:
            return np.full(len(rows), np.nan)
        asked = data.examples.iloc[rows]
        seen = self._seen(data, task.name, asked.user_id.to_numpy(dtype=object), asked.ts.to_numpy(np.int64))
        gap = asked.gap_days.fillna(0.0).to_numpy(np.float64)
        horizon = asked.horizon_days.to_numpy(np.float64)
        if "session_gap" in task.label and "cutoffs" not in task.label:
            quiet = microseconds(task.label["session_gap"], f"task {task.name}, label.session_gap") / DAY
            horizon = horizon - quiet  # asked once the session is known to be over
        return p_purchase(self.parameters[task.name], seen, gap, horizon)

    def _seen(self, data: Prepared, task: str, users: Rows, at: Rows) -> Purchases:
        """(n,) each user's days with an event before her own `at`, in days; NaN without one."""
        event = data.tasks[task].label.get("event", "any")
        acts = self.frame if event == "any" else self.frame[self.frame.event == event]
        times = {user: np.sort(part.to_numpy()) for user, part in acts.groupby("user_id", sort=False).ts}
        out = np.full((len(users), 3), np.nan)
        for number, (user, ts) in enumerate(zip(users, at, strict=True)):
            mine = times.get(user, np.zeros(0, np.int64))
            days = np.unique(mine[: np.searchsorted(mine, ts)] // DAY)
            if len(days):
                out[number] = len(days) - 1, days[-1] - days[0], ts / DAY - days[0]
        return Purchases(*out.T)
