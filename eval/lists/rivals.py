"""Beam search over the same catalog, as transformers and vLLM come with it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from prompts.trie import Node, Trie

Ids = tuple[int, ...]


class Beams(NamedTuple):
    """items: (item, natural log-probability), best first; invalid: sequences that are no item; tokens: that the model
    read, None where it was not counted."""

    items: list[tuple[str, float]]
    invalid: int
    tokens: int | None


class AllowedTokens:
    """What may follow a prefix of titles, as `prefix_allowed_tokens_fn` asks it: walked from the root each time, with
    the answers of one search kept, because the beams ask for the same prefixes again."""

    def __init__(self, trie: Trie, context: int) -> None:
        self._trie, self._context, self._nodes = trie, context, dict[Ids, Node | None]({(): trie.root})

    def __call__(self, batch: int, ids: Any) -> list[int]:
        node = self.node(tuple(ids[self._context :].tolist()))
        if node is None or self._trie.length(node.start) == node.depth:
            return list(END_OF_BEAM)
        return [int(token) for token in self._trie.children(node).tokens]

    def node(self, ids: Ids) -> Node | None:
        """Where a prefix leads; None where no item begins so."""
        if ids not in self._nodes:
            node, before = None, self.node(ids[:-1])
            if before is not None and self._trie.length(before.start) > before.depth:
                children = self._trie.children(before)
                at = int(children.tokens.searchsorted(ids[-1]))
                if at < len(children.tokens) and children.tokens[at] == ids[-1]:
                    node = Node(int(children.start[at]), int(children.stop[at]), before.depth + 1)
            self._nodes[ids] = node
        return self._nodes[ids]

    def items(self, ids: Ids) -> list[str]:
        """The items of exactly these ids; [] where there are none."""
        node = self.node(ids)
        if node is None or self._trie.length(node.start) > node.depth:
            return []
        return [self._trie.item(row) for row in range(node.start, node.stop)]


END_OF_BEAM = (0,)  # any token: a beam that has ended takes no part


def transformers_beams(model: Any, context: Sequence[int], trie: Trie, end: int, k: int) -> Beams:
    """k beams of `generate` that may only follow the trie. end: the token that ends every title.

    Each prompt is read once a beam, because `generate` repeats the prompt before it reads it; a length penalty of 0
    orders beams by their log-probability alone, as the search does.
    """
    import torch

    read = 0

    def count(module: Any, args: Any, kwargs: Any) -> None:
        nonlocal read
        read += kwargs["input_ids"].numel()

    allowed = AllowedTokens(trie, len(context))
    longest = max(int(trie.lengths(_all_rows(trie)).max()), 1)
    hook = model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        with torch.inference_mode():
            out = model.generate(
                torch.tensor([list(context)]), attention_mask=torch.ones(1, len(context), dtype=torch.long),
                num_beams=k, num_return_sequences=k, do_sample=False, max_new_tokens=longest, length_penalty=0.0,
                eos_token_id=end, pad_token_id=end, prefix_allowed_tokens_fn=allowed,
                return_dict_in_generate=True, output_scores=True,
            )  # fmt: skip
    finally:
        hook.remove()
    sequences = [_until(tuple(row), end) for row in out.sequences[:, len(context) :].tolist()]
    return _beams(sequences, out.sequences_scores.tolist(), allowed.items, read)


def vllm_beams(llm: Any, context: Sequence[int], trie: Trie, end: int, k: int) -> Beams:
    """k beams of vLLM's own `beam_search`, which nothing holds to the trie: it takes no function of a prefix, and its
    grammars are of strings, and choose among the 2k likeliest tokens alone. It knows no other end than the tokenizer's,
    so beams go on behind a title's last token; each item that they begin with is listed once."""
    from vllm.sampling_params import BeamSearchParams

    longest = max(int(trie.lengths(_all_rows(trie)).max()), 1)
    params = BeamSearchParams(beam_width=k, max_tokens=longest, length_penalty=0.0, ignore_eos=True)
    (out,) = llm.beam_search([{"prompt_token_ids": list(context)}], params)
    allowed = AllowedTokens(trie, 0)
    sequences = [_until(tuple(beam.tokens[len(context) :]), end) for beam in out.sequences]
    return _beams(sequences, [beam.cum_logprob for beam in out.sequences], allowed.items, None)


def _beams(
    sequences: list[Ids], scores: list[float], items_of: Callable[[Ids], list[str]], tokens: int | None
) -> Beams:
    named = [(items_of(ids), score) for ids, score in zip(sequences, scores, strict=True)]
    best = dict[str, float]()
    for items, score in named:
        for item in items:
            best[item] = max(best.get(item, -float("inf")), float(score))
    in_order = sorted(best.items(), key=lambda pair: -pair[1])
    return Beams(in_order, sum(not items for items, _ in named), tokens)


def _until(ids: Ids, end: int) -> Ids:
    """Up to the first end token, that included."""
    return ids[: ids.index(end) + 1] if end in ids else ids


def _all_rows(trie: Trie) -> Any:
    import numpy as np

    return np.arange(len(trie))
