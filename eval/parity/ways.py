"""The ways to ask an adapter: plain transformers with PEFT, the torch engine, vLLM in process, an engine's process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from eval.parity.drawn import DrawnPrompt, requests
from prompts.dtypes import DTYPES
from prompts.language_model import load_model
from serve.child.remote import RemoteEngine, over_socket
from serve.child.started import started
from serve.engine import Engine

UNMERGED, MERGED = "PEFT, unmerged", "PEFT, merged"
CHAT = {
    "model": "genrec", "messages": [{"role": "user", "content": "Is Fargo a comedy?"}], "max_tokens": 3,
    "temperature": 0, "logprobs": True, "top_logprobs": 4,
}  # fmt: skip


class ProcessAnswers(NamedTuple):
    """Answers of an engine's process: alone, and while chats with log-probabilities were answered too (`beside`).
    chats: that were answered then; chats_without: of those, the ones that came without log-probabilities or with
    other words than the same chat alone."""

    name: str
    alone: np.ndarray
    beside: np.ndarray
    chats: int
    chats_without: int


def vllm_installed() -> bool:
    return find_spec("vllm") is not None


def peft_answers(
    base: str, dtype: str, adapter: Path, prompts: Sequence[DrawnPrompt]
) -> dict[str, np.ndarray]:
    """transformers' own forward pass and attention, a prompt at a time, nothing packed, nothing cached; the head alone
    is computed in float32, as everywhere. Base and adapter side by side, then PEFT's own merge of the two, which is
    made in float32 and rounded once to dtype."""
    from peft import PeftModel

    loaded: Any = load_model(base, dtype, "eager")
    found = {UNMERGED: one_by_one(PeftModel.from_pretrained(loaded, adapter).get_base_model(), prompts)}
    whole: Any = load_model(base, "float32", "eager")
    merged = PeftModel.from_pretrained(whole, adapter).merge_and_unload().to(DTYPES[dtype])
    return {**found, MERGED: one_by_one(merged, prompts)}


@torch.inference_mode()
def one_by_one(model: Any, prompts: Sequence[DrawnPrompt]) -> np.ndarray:
    """(n,) log-odds of a transformers model, which reads each prompt by itself."""
    model.eval()
    head = model.get_output_embeddings().weight.float()
    found = []
    for prompt in tqdm(prompts, desc="one by one", leave=False, disable=None):
        hidden = model.base_model(torch.tensor([prompt.ids], device=head.device)).last_hidden_state[0].float()
        rows = []
        for question in prompt.questions:
            logits = (head @ hidden[len(prompt.context) + len(question.ids) - 1]).double()
            answers = logits[list(question.answers)]
            whole = answers if question.over == "answers" else logits
            rows.append((answers - whole.logsumexp(-1)).cpu().numpy())
        found.append(prompt.log_odds(rows))
    return np.array(found)


def engine_answers(engine: Engine, prompts: Sequence[DrawnPrompt], at_once: bool = True) -> np.ndarray:
    """(n,) log-odds; at_once: in one call, else one call a context."""
    asked, numbers = requests(prompts)
    calls = [asked] if at_once else [[request] for request in asked]
    scored = [rows for call in calls for rows in engine.score(call)]
    found = np.empty(len(prompts))
    for rows, members in zip(scored, numbers, strict=True):
        place = 0
        for n in members:
            questions = len(prompts[n].questions)
            found[n] = prompts[n].log_odds(rows[place : place + questions])
            place += questions
    return found


def process_answers(kind: str, folder: Path, dtype: str, prompts: Sequence[DrawnPrompt]) -> ProcessAnswers:
    """kind: "vllm" or "torch". folder: the merged weights."""
    with started(kind, folder, dtype) as client:
        post = over_socket(client)
        alone = engine_answers(RemoteEngine(post, "alone"), prompts, at_once=False)
        # Another salt, so that nothing is read from what the first pass left in the cache.
        engine = RemoteEngine(post, "beside chats", salt=lambda: "beside chats")
        with _chats(client) as replies:
            beside = engine_answers(engine, prompts, at_once=False)
    return ProcessAnswers(f"{kind} server", alone, beside, len(replies) - 1, _without(replies))


@contextmanager
def _chats(client: Any) -> Iterator[list[Any]]:
    """Chats one after another for as long as the block lasts; the first of the replies was asked before it."""
    replies, over = [client.post("/v1/chat/completions", json=CHAT).json()], Event()

    def chat() -> None:
        while not over.is_set():
            replies.append(client.post("/v1/chat/completions", json=CHAT).json())

    thread = Thread(target=chat)
    thread.start()
    try:
        yield replies
    finally:
        over.set()
        thread.join()


def _without(replies: Sequence[Any]) -> int:
    words = [_words(reply) for reply in replies]
    return sum(not said or said != words[0] for said in words[1:])


def _words(reply: Any) -> list[str]:
    """What a chat wrote, token by token, as its log-probabilities tell it; nothing where a token has none."""
    content = ((reply.get("choices") or [{}])[0].get("logprobs") or {}).get("content") or []
    return [token["token"] for token in content] if all(t.get("top_logprobs") for t in content) else []
