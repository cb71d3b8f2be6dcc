"""/v1/recommend by the clock, behind a mock engine: what it does before its deadline and after, and its followers."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from served_shop import served

from genrec.errors import UserError
from genrec.statistics.co_occurrence import CANDIDATES, Followers
from serve.gateway import schemas, work
from serve.served import Served


@pytest.fixture(scope="module")
def here() -> Served:
    return served()


def recommended(here: Served, received: float = 0.0, **options: Any) -> schemas.RecommendReply:
    body = schemas.RecommendBody.model_validate({"user": "u00003", "k": 30, "candidates": 30, **options})
    return work.recommend(work.person(here, body), "genrec", body, received)


def listed(reply: schemas.RecommendReply) -> list[str]:
    return [item.item for item in reply.items]


def in_order(here: Served) -> list[str]:
    """All that followed on what the user touched, best first."""
    task = here.item_task()
    return here.data.followers_now(task.name).candidates(
        here.touched("u00003", task, here.point("u00003")), 10_000
    )


# ---- the clock ----------------------------------------------------------------------------------------------


@pytest.fixture
def clock(here: Served, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """now: seconds; each batch that is scored takes `batch` of them. batches: how many were."""
    found = SimpleNamespace(now=0.0, batch=1.0, batches=0)
    predict = here.predictor.predict

    def timed(rows: Any, *asked: Any) -> Any:
        if rows:
            found.now += found.batch
            found.batches += 1
        return predict(rows, *asked)

    monkeypatch.setattr(work, "time", SimpleNamespace(monotonic=lambda: found.now))
    monkeypatch.setattr(work, "SCORED_AT_ONCE", 5)
    monkeypatch.setattr(here.predictor, "predict", timed)
    return found


def test_what_is_scored_in_time_is_what_is_scored_without_a_deadline(
    here: Served, clock: SimpleNamespace
) -> None:
    timeless = recommended(here, retrieve="followers")
    assert clock.batches == 1
    assert recommended(here, received=1.0, retrieve="followers", deadline_ms=9_000) == timeless
    assert clock.batches > 4


def test_a_deadline_that_comes_while_candidates_are_scored_is_kept(
    here: Served, clock: SimpleNamespace
) -> None:
    reply = recommended(here, retrieve="followers", deadline_ms=2_500)
    assert (reply.fallback, clock.batches) == ("not scored", 2)  # a third batch would have ended after it
    shares = {item: (here.row("u00003", item).known.stats or {})["match_share"] for item in listed(reply)}
    assert [item.score for item in reply.items] == sorted(shares.values(), reverse=True)
    assert [item.probabilities for item in reply.items] == [{"click": p} for p in shares.values()]


def test_a_deadline_counts_from_when_the_request_came(here: Served, clock: SimpleNamespace) -> None:
    clock.now = 60.0
    reply = recommended(here, received=50.0, deadline_ms=9_000)
    assert (reply.fallback, clock.batches) == ("not scored", 0)
    assert listed(reply)
    reply = recommended(here, received=54.0, deadline_ms=10_000, k=5, candidates=5)  # no time left to search
    assert reply.fallback == "followers"


def test_a_task_of_which_nothing_is_stated_is_left_out_and_named(
    here: Served, clock: SimpleNamespace
) -> None:
    clock.now = 60.0
    options: dict[str, Any] = {"retrieve": "followers", "deadline_ms": 1}
    both = recommended(here, weights={"click": 1, "ctcvr": 1, "joy": 1}, **options)
    assert both.left_out == ["joy"]
    assert all(np.isfinite(item.score) for item in both.items)
    assert all(set(item.probabilities) == {"click", "convert"} for item in both.items)
    alone = recommended(here, weights={"joy": 1}, **options)
    assert (alone.left_out, [item.score for item in alone.items]) == (["joy"], [0.0] * len(alone.items))
    assert listed(alone) == in_order(here)[:30]
    clock.now = 0.0
    assert recommended(here, weights={"joy": 1}, retrieve="followers").left_out == []


def test_a_search_within_few_paths_says_what_it_may_have_missed_and_is_no_shorter(
    here: Served, clock: SimpleNamespace
) -> None:
    bounded = recommended(here, nodes=1, k=15, candidates=15)
    exact = recommended(here, nodes=0, k=15, candidates=15)
    assert (bounded.exact, bounded.fallback) == (False, "")
    assert bounded.gap is not None
    assert bounded.gap > 0
    assert (exact.exact, exact.gap) == (True, 0.0)
    assert len(bounded.items) == len(exact.items) == 15


# ---- followers ----------------------------------------------------------------------------------------------


def test_as_many_followers_are_found_as_are_allowed(here: Served) -> None:
    every = in_order(here)
    still: dict[str, Any] = {"retrieve": "followers", "weights": {"click": 0}}
    assert len(every) > CANDIDATES + 5
    assert listed(recommended(here, **still)) == every
    assert listed(recommended(here, candidates=12, k=12, exclude=every[:3], **still)) == every[3:15]
    assert listed(recommended(here, available=every[-4:], **still)) == every[-4:]
    assert here.followers("u00003") == every[:CANDIDATES]


def test_a_search_looks_its_followers_up_once(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, candidates = list[int](), Followers.candidates

    def counted(self: Followers, touched: list[str], k: int) -> list[str]:
        asked.append(k)
        return candidates(self, touched, k)

    monkeypatch.setattr(Followers, "candidates", counted)
    here.recommend("u00003", 5)
    assert asked == [CANDIDATES]


def test_a_product_is_weighed_only_where_conversions_continue_clicks(here: Served) -> None:
    alone = served()
    alone.layout.tasks = {name: task for name, task in alone.layout.tasks.items() if name != "convert"}
    with pytest.raises(UserError, match="no task 'ctcvr'"):
        recommended(alone, weights={"ctcvr": 1})
