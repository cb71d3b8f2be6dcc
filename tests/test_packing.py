"""Shared-prefix packing: every prompt is in it whole, sees itself and nothing else; three forms of one mask agree."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts import attention, branch_attention
from prompts.attention import attend, mask_mod, plan, visible
from prompts.packing import Packed, pack
from prompts.transformers_attention import flex_shared_context_attention

prompts = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=9), min_size=1, max_size=8)


def mask(packed: Packed) -> torch.Tensor:
    return visible(torch.tensor(packed.segment), torch.tensor(packed.fork))


@given(prompts)
def test_every_prompt_is_recovered_with_its_positions_and_sees_itself_alone(asked: list[list[int]]) -> None:
    packed = pack(asked)
    seen = mask(packed)
    for prompt, placed in zip(asked, packed.prompts, strict=True):
        places = [placed.place(n) for n in range(len(prompt))]
        assert packed.input_ids[places].tolist() == prompt
        assert packed.position_ids[places].tolist() == list(range(len(prompt)))
        for n, place in enumerate(places):
            assert sorted(torch.nonzero(seen[place]).flatten().tolist()) == sorted(places[: n + 1])


@given(prompts)
def test_what_is_shared_is_stored_once(asked: list[list[int]]) -> None:
    packed = pack(asked)
    longest = max(map(len, asked))
    assert longest <= len(packed) <= sum(map(len, asked))
    assert packed.segment[:longest].tolist() == [0] * longest
    assert len(pack([*asked, *asked])) == len(packed)
    assert len(pack([prompt[:n] for prompt in asked for n in range(1, len(prompt) + 1)])) == len(packed)


def test_many_branches_at_one_fork_cost_their_tokens_not_the_square_of_their_number() -> None:
    """5,000 take some 0.1 s; compared with one another they took 20."""
    trunk = np.arange(100)
    asked = [trunk, *(np.r_[trunk[:50], 1_000 + n, np.arange(10)] for n in range(5_000))]
    start = time.process_time()
    packed = pack(asked)
    assert time.process_time() - start < 5
    assert len(packed) == 100 + 5_000 * 11


@given(prompts)
def test_the_rule_for_flex_attention_is_the_same(asked: list[list[int]]) -> None:
    packed = pack(asked)
    segment, fork = torch.tensor(packed.segment), torch.tensor(packed.fork)
    index = torch.arange(len(packed))
    rule = mask_mod(segment, fork)
    assert torch.equal(rule(0, 0, index[:, None], index[None, :]), mask(packed))


def dense(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    out = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, enable_gqa=True)
    return out.transpose(1, 2)


def inputs(length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 4, length, 8), torch.randn(2, 2, length, 8), torch.randn(2, 2, length, 8)


@settings(max_examples=50)
@given(asked=prompts, rows=st.sampled_from([1, 3, 8, 256]))
def test_chunked_attention_is_dense_attention_under_the_mask(asked: list[list[int]], rows: int) -> None:
    packed = pack(asked)
    query, key, value = inputs(len(packed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "CHUNK", rows)
        chunks = plan(packed.segment, packed.fork)
    wanted = dense(query, key, value, mask(packed))
    torch.testing.assert_close(attend(query, key, value, chunks, 8**-0.5), wanted, atol=1e-5, rtol=1e-5)


@settings(max_examples=50)
@given(asked=prompts, rows=st.sampled_from([1, 3, 8, 256]), cut=st.floats(0, 1))
def test_fused_attention_is_dense_attention_under_the_mask(
    asked: list[list[int]], rows: int, cut: float
) -> None:
    """Whole, and behind cached trunk tokens."""
    packed = pack(asked)
    query, key, value = inputs(len(packed))
    wanted = dense(query, key, value, mask(packed))
    for past in {0, int(cut * int((packed.segment == 0).sum()))} - {len(packed)}:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(branch_attention, "ROWS", rows)
            parts = branch_attention.parts(packed.segment[past:], packed.fork[past:], past, torch.float32)
        found = branch_attention.attend(query[:, :, past:], key, value, parts, 8**-0.5)
        torch.testing.assert_close(found, wanted[:, past:], atol=1e-5, rtol=1e-5)


def test_fused_attention_makes_no_mask_where_all_branches_see_the_whole_context() -> None:
    segment = np.repeat(np.arange(1, 101, dtype=np.int32), 11)
    parts = branch_attention.parts(segment, np.full(1_100, 500, np.int32), 500, torch.float32)
    assert [(p.start, p.stop, p.keys, p.bias) for p in parts.prefixes] == [(0, 1_100, 500, None)]
    assert [(s.rows.shape, s.start) for s in parts.segments] == [((100, 11), 0)]


@settings(max_examples=50)
@given(asked=prompts, rows=st.sampled_from([1, 3, 8, 256]), cut=st.floats(0, 1))
def test_attention_behind_cached_trunk_tokens(asked: list[list[int]], rows: int, cut: float) -> None:
    """The rows after any cut of the trunk, given the keys and values before it, are those of the whole."""
    packed = pack(asked)
    past = int(cut * int((packed.segment == 0).sum()))
    if past == len(packed):
        return
    query, key, value = inputs(len(packed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "CHUNK", rows)
        chunks = plan(packed.segment[past:], packed.fork[past:], past)
    wanted = dense(query, key, value, mask(packed))[:, past:]
    found = attend(query[:, :, past:], key, value, chunks, 8**-0.5)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_dense_attention() -> None:
    packed = pack([[1, 2, 3, 4, 5], [1, 2, 9], [1, 2, 3, 8, 8], [7]])
    gradients = []
    for chunked in (True, False):
        query, key, value = (x.requires_grad_() for x in inputs(len(packed)))
        if chunked:
            out = attend(query, key, value, plan(packed.segment, packed.fork), 8**-0.5)
        else:
            out = dense(query, key, value, mask(packed))
        loss = (out * torch.arange(out.numel()).view(out.shape)).sum()
        gradients.append(torch.autograd.grad(loss, (query, key, value)))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)


def test_chunks_do_not_hold_keys_that_nobody_sees() -> None:
    """The price of many branches is their own tokens and the trunk, not the square of all of them."""
    trunk = np.arange(1000)
    packed = pack([trunk, *(np.r_[trunk[:500], 5_000 + n, np.arange(10)] for n in range(200))])
    chunks = plan(packed.segment, packed.fork)
    assert sum(c.bias.numel() for c in chunks) < 0.4 * len(packed) ** 2
    assert all(c.shared == 500 for c in chunks if c.start >= 1000)


@settings(max_examples=5)
@given(asked=prompts)
def test_flex_attention_is_dense_attention_under_the_mask(asked: list[list[int]]) -> None:
    """Not compiled, as the kernel is on a GPU (tests/test_cuda.py): the mask, the scale and the groups of heads."""
    packed = pack(asked)
    segment, fork = torch.tensor(packed.segment), torch.tensor(packed.fork)
    query, key, value = (x.double() for x in inputs(len(packed)))
    module = torch.nn.Module().eval()
    with torch.compiler.set_stance("force_eager"):
        out, _ = flex_shared_context_attention(
            module,
            query.float(),
            key.float(),
            value,
            None,
            8**-0.5,
            blocks=attention.block_mask(segment, fork),
        )
    torch.testing.assert_close(
        out, dense(query.float().double(), key.float().double(), value, visible(segment, fork))
    )
