"""The simulated shop: who likes what, who comes when, who clicks and buys, each with a probability that is known.

Click       sigmoid(taste of the user for the title's words + quality of the item + the user's bias + position bias).
Conversion  given the click, sigmoid(taste + quality + what the price means to this user), drawn once per click.
Return      the next visit ends an hour plus an exponential time after this one; its rate is the user's own, raised by
            clicks of this and past visits. So the chance of a visit within a horizon is known when a visit ends.

A clicked item rests: it is not shown to that user again until its conversion could have arrived, so that every
conversion has exactly one click it can belong to.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrec.errors import UserError
from genrec.sources.words import VOCABULARY, Goods, compose

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000  # microseconds
OPENED = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z in microseconds
SLATE = 10  # impressions of one request
LONGEST_VISIT = 25 * MINUTE  # below session_gap and the click window, so neither cuts a visit
QUIET = HOUR  # from the end of a visit to the end of the next, at least
REST = 7 * DAY  # the attribution window of a click
BUSIEST = 2.0  # visits a day, at most
POSITION_BIAS = -0.4 * np.log(np.arange(1, SLATE + 1))
CITIES = ("Lisbon", "Oslo", "Lyon", "Leeds", "Porto", "Graz")


@dataclass(frozen=True)
class Shop:
    """What a user of the simulator chooses. Raises UserError for values that no shop can have."""

    users: int = 500
    items: int = 300
    days: int = 60
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("users", 1), ("items", SLATE), ("days", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise UserError(
                    f"The simulator cannot use {name}={value!r}",
                    where=f"option {name}",
                    cure=f"give a whole number, {least} or more",
                )


@dataclass(frozen=True)
class World:
    """Everything about users and items that does not change. Logits are without the position bias."""

    goods: Goods
    price: Floats  # (items,)
    launch: Ints  # (items,) microseconds: not shown before
    age: Ints  # (users,)
    city: Ints  # (users,) index into CITIES
    click_logit: Floats  # (users, items)
    convert_logit: Floats  # (users, items), given the click
    appeal: Floats  # (users, items) what the shop's own ranking believes: log odds of being shown
    rate: Floats  # (users,) visits a day at an average satisfaction
    first: Ints  # (users,) microseconds: the end of the first visit


@dataclass(frozen=True)
class Visits:
    """What happened, one row a visit, by user and time. Times are microseconds UTC; a slate is (visits, SLATE)."""

    user: Ints  # (visits,)
    start: Ints  # (visits,) also the time of the impressions
    end: Ints  # (visits,)
    rate: Floats  # (visits,) the rate, per day, of the next visit, known when this one ends
    item: Ints
    shown: Bools
    p_click: Floats
    clicked: Bools
    click_ts: Ints
    p_convert: Floats  # given the click
    converted: Bools  # only where clicked
    convert_ts: Ints


def sigmoid(logit: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def build_world(shop: Shop, random: np.random.Generator) -> World:
    """Draw the shop's items and users. Tastes are over words; age and city explain a part of them."""
    goods = compose(random, shop.items)
    words = len(VOCABULARY)
    age = random.integers(18, 76, shop.users)
    city = random.integers(0, len(CITIES), shop.users)
    age_z = (age - 46.5) / 16.7

    taste = (
        random.normal(0, 0.4, (shop.users, words))
        + age_z[:, None] * random.normal(0, 0.25, words)
        + random.normal(0, 0.3, (len(CITIES), words))[city]
    )  # (users, words)
    match = np.stack([taste[:, item_words].sum(axis=1) for item_words in goods.words], axis=1)
    quality = random.normal(0, 0.3, words)[goods.words].sum(axis=1) + random.normal(0, 0.15, shop.items)

    word_price = random.normal(0, 0.25, words)[goods.words].sum(axis=1)
    price = np.round(25.0 * np.exp(word_price + random.normal(0, 0.2, shop.items)), 2)
    dear = np.log(price / 25.0)
    thrift = 1.0 - 0.3 * age_z + random.normal(0, 0.4, shop.users)

    bias = random.normal(0, 0.4, shop.users)
    click_logit = -2.0 + match + quality + bias[:, None]
    convert_logit = -2.0 + 0.6 * match + 0.5 * quality - 0.9 * thrift[:, None] * dear
    popular = 0.5 * quality + random.normal(0, 0.4, shop.items)
    late = random.random(shop.items) < 0.2
    return World(
        goods=goods,
        price=price,
        launch=OPENED + np.where(late, random.random(shop.items) * shop.days * DAY, 0).astype(np.int64),
        age=age,
        city=city,
        click_logit=click_logit,
        convert_logit=convert_logit,
        appeal=0.3 * match + popular,
        rate=0.15 * np.exp(0.15 * age_z + random.normal(0, 0.7, shop.users)),
        first=OPENED
        + LONGEST_VISIT
        + (random.random(shop.users) ** 2 * 0.9 * shop.days * DAY).astype(np.int64),
    )


def choose_slates(world: World, random: np.random.Generator, user: Ints, away: Bools) -> tuple[Ints, Bools]:
    """Items in page order, (len(user), SLATE), and which of them are really there. away: (len(user), items).

    Adding Gumbel noise and sorting draws without replacement in proportion to exp(appeal).
    """
    score = world.appeal[user] + random.gumbel(size=away.shape)
    score[away] = -np.inf
    item = np.argpartition(-score, SLATE - 1, axis=1)[:, :SLATE]
    drawn = np.take_along_axis(score, item, axis=1)
    order = np.argsort(-drawn, axis=1)
    return np.take_along_axis(item, order, axis=1), np.isfinite(np.take_along_axis(drawn, order, axis=1))


def open_shop(world: World, random: np.random.Generator, closes: int) -> Visits:
    """Let everybody visit until `closes` (microseconds UTC): round k holds the k-th visit of every user who has one."""
    users, items = world.click_logit.shape
    end = world.first.copy()
    satisfaction = np.ones(users)
    rested_at = np.zeros((users, items), dtype=np.int64)
    rounds: list[Visits] = []
    active = np.arange(users)
    while len(active):
        length = np.clip(random.lognormal(np.log(6.0), 0.6, len(active)), 1.0, 25.0)
        start = end[active] - (length * MINUTE).astype(np.int64)
        away = (rested_at[active] > start[:, None]) | (world.launch > start[:, None])
        item, shown = choose_slates(world, random, active, away)
        where = (active[:, None], item)

        p_click = sigmoid(world.click_logit[where] + POSITION_BIAS)
        clicked = (random.random(item.shape) < p_click) & shown
        stay = (end[active] - start)[:, None]
        click_ts = start[:, None] + 1 + (random.beta(1.2, 2.5, item.shape) * (stay - 2)).astype(np.int64)
        p_convert = sigmoid(world.convert_logit[where])
        converted = (random.random(item.shape) < p_convert) & clicked
        delay = 2 * HOUR + random.beta(0.8, 4.0, item.shape) * (REST - 3 * HOUR)
        rested_at[where] = np.where(clicked, click_ts + REST, rested_at[where])

        satisfaction[active] = 0.7 * satisfaction[active] + 0.3 * clicked.sum(axis=1)
        rate = np.minimum(world.rate[active] * np.exp(0.5 * (satisfaction[active] - 1.5)), BUSIEST)
        rounds.append(
            Visits(
                user=active,
                start=start,
                end=end[active],
                rate=rate,
                item=item,
                shown=shown,
                p_click=p_click,
                clicked=clicked,
                click_ts=click_ts,
                p_convert=p_convert,
                converted=converted,
                convert_ts=click_ts + delay.astype(np.int64),
            )
        )
        end[active] += QUIET + (random.exponential(1.0 / rate) * DAY).astype(np.int64)
        active = active[end[active] < closes + LONGEST_VISIT]
    order = np.lexsort((np.concatenate([r.end for r in rounds]), np.concatenate([r.user for r in rounds])))
    return Visits(
        **{name: np.concatenate([getattr(r, name) for r in rounds])[order] for name in Visits.__annotations__}
    )
