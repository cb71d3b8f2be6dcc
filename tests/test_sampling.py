"""A sample is about as large as asked, the same for every model; users stay whole where that counts."""

from dataclasses import replace

import numpy as np
import pytest
from our_model import ours
from small_shop import shop

from eval.answers import asked
from eval.baselines.means import Means
from eval.baselines.prior import Prior
from eval.baselines.stated import Stated
from eval.harness import Ask, compare, evaluate
from eval.sampling import draw
from genrec.chain import CTCVR
from genrec.dataset import Prepared


def returns(rows: int, users: int) -> Prepared:
    """The shop's data with so many test questions about returns, of so many users."""
    data = shop()
    mine = data.rows("return", "test")
    others = np.setdiff1d(np.arange(len(data.examples)), mine)
    chosen = np.concatenate([others, np.resize(mine, rows)])
    examples = data.examples.iloc[chosen].reset_index(drop=True)
    asked = examples.index[len(others) :]
    examples.loc[asked, "user_id"] = [f"r{n % users}" for n in range(rows)]
    examples.loc[asked, "point"] = 0
    stats = {regime: frame.iloc[chosen].reset_index(drop=True) for regime, frame in data.stats.items()}
    return replace(data, examples=examples, stats=stats)


def test_600_of_2000_returns_are_600_single_ones_the_same_for_every_model() -> None:
    data = returns(2000, users=1000)
    done = []
    for model in (ours(data), Prior(), Means("user"), Stated()):
        model.fit(data, "running")
        done.append(evaluate(model, data, Ask("return", rows=600, valid_rows=600, repeats=2)))
        assert done[-1].result["n"] == 600
        assert (done[-1].result["sampled_by"], done[-1].result["sampled_of"]) == ("rows", 2000)
        assert compare(done[0].answers, done[-1].answers, repeats=2)[0]["n"] == 600
    assert done[0].result["n_users"] > 450  # of 1000: whole users would have been 300


def test_users_with_many_returns_stay_whole() -> None:
    data = returns(2000, users=100)
    found = draw(data, data.rows("return", "test"), 600)
    assert (len(found.rows), found.by) == (600, "users")  # 30 users of 20
    assert data.examples.user_id.iloc[found.rows].nunique() == 30


def test_candidates_are_drawn_by_whole_users() -> None:
    rows = shop().rows("click", "test")
    found = draw(shop(), rows, 100, seed=3)
    assert 100 <= len(found.rows) < len(rows)
    users = shop().examples.user_id
    assert users.iloc[rows].isin(set(users.iloc[found.rows])).sum() == len(found.rows)
    assert found.rows.tolist() == draw(shop(), rows, 100, seed=3).rows.tolist()
    assert set(users.iloc[draw(shop(), rows, 100, seed=4).rows]) != set(users.iloc[found.rows])


def test_tasks_share_the_users_that_are_drawn() -> None:
    users = shop().examples.user_id
    click, convert = (
        set(users.iloc[draw(shop(), shop().rows(task, "test"), 100).rows]) for task in ("click", "convert")
    )
    has_conversions = set(users.iloc[shop().rows("convert", "test")])
    assert click & has_conversions <= convert


@pytest.mark.parametrize("n", [None, 10**6])
def test_no_sample_is_called_one_where_nothing_is_left_out(n: int | None) -> None:
    rows = shop().rows("click", "test")
    assert draw(shop(), rows, n).rows.tolist() == rows.tolist()
    model = Prior()
    model.fit(shop(), "running")
    assert evaluate(model, shop(), Ask("click", rows=n, repeats=2)).result["sampled"] is False


def test_lists_are_drawn_one_by_one() -> None:
    rows = shop().rows("next", "test")
    found = draw(shop(), rows, 5, lists=True)
    assert (len(found.rows), found.by) == (5, "rows")
    assert set(found.rows) <= set(rows)


def test_many_users_with_a_block_of_consecutive_rows_each() -> None:
    data = shop()
    rows = data.rows("click", "test")
    users = data.examples.user_id
    found = draw(data, rows, 60, users=12)
    assert (found.by, found.of, found.most) == ("blocks", len(rows), 5)
    drawn = users.iloc[found.rows]
    assert drawn.nunique() == 12
    assert drawn.value_counts().max() == 5
    for user in drawn.unique():  # a block: none of the user's rows between its first and last is missing
        own = rows[users.iloc[rows] == user]
        block = found.rows[drawn == user]
        first = int(np.flatnonzero(own == block[0])[0])
        assert own[first : first + len(block)].tolist() == block.tolist()
        assert len(block) == min(5, len(own))


def test_blocks_of_a_seed_are_the_same_and_those_of_another_are_not() -> None:
    rows = shop().rows("click", "test")
    first, again, other = (draw(shop(), rows, 60, seed, users=12).rows.tolist() for seed in (3, 3, 4))
    assert first == again != other


def test_blocks_do_not_all_begin_with_a_users_first_row() -> None:
    users = shop().examples.user_id
    rows = shop().rows("click", "test")
    found = draw(shop(), rows, 30, users=15).rows
    firsts = {rows[users.iloc[rows] == user][0] for user in users.iloc[found].unique()}
    assert 0 < len(firsts & set(found)) < len(firsts)


def test_whole_users_are_drawn_where_only_their_number_is_given() -> None:
    users = shop().examples.user_id
    rows = shop().rows("click", "test")
    found = draw(shop(), rows, None, users=8)
    assert (found.by, found.most) == ("users", None)
    assert found.rows.tolist() == rows[users.iloc[rows].isin(set(users.iloc[found.rows]))].tolist()
    assert users.iloc[found.rows].nunique() == 8
    assert draw(shop(), rows, None, users=10**6).by == ""


def test_ctcvr_is_asked_about_the_impressions_that_click_is_asked_about_where_they_have_matured() -> None:
    users = shop().examples.user_id
    click, both = shop().rows("click", "test"), asked(shop(), CTCVR, "test").rows
    blocks, others = (draw(shop(), rows, 60, users=12).rows for rows in (click, both))
    matured = [
        user for user in users.iloc[blocks].unique() if set(blocks[users.iloc[blocks] == user]) <= set(both)
    ]
    assert len(matured) > 2
    for user in set(matured) & set(users.iloc[others]):
        assert blocks[users.iloc[blocks] == user].tolist() == others[users.iloc[others] == user].tolist()


def test_a_result_says_how_its_blocks_were_drawn() -> None:
    model = Prior()
    model.fit(shop(), "running")
    result = evaluate(model, shop(), Ask("click", rows=60, valid_rows=60, users=12, repeats=2)).result
    assert (result["sampled_by"], result["sampled_per_user"], result["n_users"]) == ("blocks", 5, 12)
    assert result["n"] <= 60
