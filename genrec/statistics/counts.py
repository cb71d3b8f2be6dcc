"""Counts of outcomes, and what is read from them: the columns of a prompt and the terms of the regressions."""

from typing import NamedTuple

import numpy as np

COLUMNS = (
    "item_count",  # outcomes known of this item
    "item_share",  # shrunken share of them that were clicks
    "item_gain",  # how much better it does than its viewers' own level (shrunken mean residual of grades)
    "item_convert_share",  # shrunken share that converted, of its outcomes whose conversion has matured too
    "user_count",
    "user_share",
    "user_gain",  # how much better the user's items do with this user than with others (the same)
    "user_convert_share",
    "category_share",  # the user's shrunken click share, averaged over the item's categories
    "neighbour_gain",  # what the user's outcomes on other items say of this one, beyond item_gain and user_gain
    "match_share",  # the click share expected of this user on this item, from all of these
    "match_convert_share",  # the share of conversions expected of the user on it, given a click
    "recent3_share",  # of the user's last three outcomes, NaN when there are none
    "recent10_share",
)
DIGITS = 9  # behind the point
PRIOR = 5.0  # pseudo-outcomes behind every shrunken share
# [count, clicks, grades, converts, outcomes of conversion] before anything is known.
START = np.array([PRIOR, PRIOR / 2, PRIOR * 0.35, PRIOR / 5, PRIOR])
OF_CATEGORY = 2.0  # pseudo-outcomes behind a user's share in a category: the user's own share
# What both match shares are read from, in log-odds or in grades over the click rate's variance, with the weights they
# start at. "base" is the rate of clicks, or of conversions given a click.
TERMS = {
    "base": 1.0, "item_share": 0.3, "item_gain": 0.7, "item_convert_share": 0.1, "user_share": 0.3, "user_gain": 0.7,
    "user_convert_share": 0.1, "category_share": 0.2, "neighbour_gain": 2.0, "recent3_share": 0.1,
    "recent10_share": 0.2,
}  # fmt: skip
SPREAD = 0.5  # standard deviation of those weights before anything is learned
# How a term's weight changes as more is known: these times the logarithm of the user's count, or of the item's.
BY_USER_COUNT = ("item_share", "item_gain", "user_share", "recent3_share", "recent10_share")
BY_ITEM_COUNT = ("neighbour_gain",)
BENDS = (
    len(BY_USER_COUNT) + len(BY_ITEM_COUNT) + 3
)  # and popularity, how new the user is, both gains' product
BEND_SPREAD = 0.3  # about 0
NEW = 5.0  # outcomes over which a user's newness fades by a factor of e
# Each user's own level, and a user's own weights of what an item has and of its popularity.
OWN_SPREAD = {"level": 0.4, "item_share": 0.3, "item_gain": 0.3, "popularity": 0.3}
DRIFT = 0.003  # of them, with each outcome
SUREST = (
    0.99  # at which a rate of conversions given a click is cut: early on, shrinkage alone can carry it past 1
)


class Counts(NamedTuple):
    """What is counted at q questions. total, item, user: (q, 5) as START, where the third of an item's and a user's is
    their summed residuals. category_share: (q,). recent3, recent10: (q, 2) weighted clicks and outcomes."""

    total: np.ndarray
    item: np.ndarray
    user: np.ndarray
    category_share: np.ndarray
    recent3: np.ndarray
    recent10: np.ndarray

    def at(self, rows: np.ndarray) -> "Counts":
        """The same of some of the questions."""
        return Counts(*(part[rows] for part in self))

    def columns(self, neighbour_gain: np.ndarray, match: np.ndarray, match_convert: np.ndarray) -> np.ndarray:
        """(q, COLUMNS), rounded: the last digits of a sum depend on what else was summed beside it, and nothing that is
        computed from a statistic may."""
        click_rate, convert_rate = rates(self.total)
        with np.errstate(invalid="ignore"):
            recent = [part[:, 0] / part[:, 1] for part in (self.recent3, self.recent10)]
        of_both = [
            (
                counts[:, 0],
                shrunk(counts[:, 1], counts[:, 0], click_rate),
                gain(counts),
                shrunk(counts[:, 3], counts[:, 4], convert_rate),
            )
            for counts in (self.item, self.user)
        ]
        parts = [*of_both[0], *of_both[1], self.category_share, neighbour_gain, match, match_convert, *recent]
        return np.round(np.column_stack(parts), DIGITS)

    def terms(self, neighbour_gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(q, TERMS + BENDS) what the shared weights multiply, and (q, OWN_SPREAD) what the user's own do.

        Logarithms of counts are scaled to about 1 at some 20 to 50.
        """
        click_rate, convert_rate = rates(self.total)
        base, level = log_odds(click_rate), click_rate * (1 - click_rate)
        user_share = shrunk(self.user[:, 1], self.user[:, 0], click_rate)
        own_level = log_odds(user_share)
        values = dict(
            zip(
                TERMS,
                (
                    base,
                    log_odds(shrunk(self.item[:, 1], self.item[:, 0], click_rate)) - base,
                    gain(self.item) / level,
                    log_odds(shrunk(self.item[:, 3], self.item[:, 4], convert_rate)) - log_odds(convert_rate),
                    own_level - base,
                    gain(self.user) / level,
                    log_odds(shrunk(self.user[:, 3], self.user[:, 4], convert_rate)) - log_odds(convert_rate),
                    log_odds(self.category_share) - own_level,
                    neighbour_gain / level,
                    log_odds(shrunk(self.recent3[:, 0], self.recent3[:, 1], user_share)) - own_level,
                    log_odds(shrunk(self.recent10[:, 0], self.recent10[:, 1], user_share)) - own_level,
                ),
                strict=True,
            )
        )
        user_count, item_count = self.user[:, 0], self.item[:, 0]
        of_user, of_item = np.log1p(user_count) / 3, np.log1p(item_count) / 3
        bends = [
            *(values[name] * of_user for name in BY_USER_COUNT),
            *(values[name] * of_item for name in BY_ITEM_COUNT),
            of_item,
            np.exp(-user_count / NEW),
            values["item_gain"] * values["user_gain"],
        ]
        own = [
            np.ones(len(base)),
            values["item_share"],
            values["item_gain"],
            (np.log1p(item_count) - 4) / 2,
        ]
        return np.column_stack([*values.values(), *bends]), np.column_stack(own)

    def given_click(self, terms: np.ndarray) -> np.ndarray:
        """The same terms with the base of a conversion given a click."""
        click_rate, convert_rate = rates(self.total)
        changed = terms.copy()
        changed[:, 0] = log_odds(np.minimum(convert_rate / click_rate, SUREST))
        return changed


def rates(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., 5) counts of all outcomes -> the rate of clicks and that of conversions."""
    return total[..., 1] / total[..., 0], total[..., 3] / total[..., 4]


def shrunk(hits: np.ndarray, count: np.ndarray, rate: np.ndarray) -> np.ndarray:
    return np.asarray((hits + PRIOR * rate) / (count + PRIOR))


def gain(counts: np.ndarray) -> np.ndarray:
    """(..., 5) counts of an item or a user -> its shrunken mean residual."""
    return np.asarray(counts[..., 2] / (counts[..., 0] + PRIOR))


def log_odds(share: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(share / (1 - share)))
