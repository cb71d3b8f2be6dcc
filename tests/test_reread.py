"""Reading again: the lines that a window begins with are trained on there too, at no token's cost."""

import numpy as np
from training_fixtures import tiny_shop

from finetune.mixture import Mixture, MixtureOptions, packed_row
from prompts.adapter import histories_of, layout_of
from prompts.language_model import load_tokenizer


def test_lines_are_read_again_where_a_later_window_begins_with_them_at_no_token() -> None:
    """As shorter histories' questions: each follows the window's own lines before it, and only those."""
    shop = tiny_shop()
    layout = layout_of(shop, load_tokenizer("smollm2-135m"))
    histories = histories_of(shop, layout, 160)
    once, twice = (
        Mixture(shop, layout, histories, MixtureOptions(stats_dropout=0.0, reread=reread))
        for reread in (False, True)
    )
    again = 0
    for first, both in zip(once.windows("train"), twice.windows("train"), strict=True):
        assert all(np.array_equal(a.ids, b.ids) for a, b in zip(first, both, strict=False))
        more = both[len(first) :]
        again += len(more)
        assert len(packed_row(both)["input_ids"]) == len(packed_row(first)["input_ids"])
        shortest = min(len(prompt.ids) for prompt in first)
        for prompt in more:
            assert len(prompt.ids) < shortest
            (read,) = prompt.reads
            trunk = max((p.ids for p in first), key=len)
            assert np.array_equal(prompt.ids, trunk[: len(prompt.ids)])
            assert trunk[len(prompt.ids)] == read.target  # the line's own answer is what is asked
    assert again > 20
    assert [len(w) for w in once.windows("valid")] == [len(w) for w in twice.windows("valid")]
