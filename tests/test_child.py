"""Engines in a process of their own: the contract over a real Unix socket, for both kinds of server."""

import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import numpy as np
import pytest
import torch
from engine_contract import CONTEXT, QUESTIONS, EngineContract, Reference
from kinds import NEEDS_VLLM
from plain_model import one_by_one, plain
from tiny import save_model, save_tokenizer

from serve.child.remote import EngineUnavailable, RemoteEngine, over_socket
from serve.child.started import started
from serve.engine import Engine, Request


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(save_model(tmp_path_factory.mktemp("tiny"), head_dim=32))


class ChildContract(EngineContract):
    kind = ""

    @pytest.fixture(scope="class")
    def client(self, tiny: Path) -> Iterator[httpx2.Client]:
        with started(self.kind, tiny, "float32", answers_within=120) as client:
            yield client

    @pytest.fixture(scope="class")
    def engine(self, client: httpx2.Client) -> Engine:
        return RemoteEngine(over_socket(client), "remote")

    @pytest.fixture(scope="class")
    def reference(self, tiny: Path) -> Reference:
        return one_by_one(plain(tiny))

    def test_embeddings_are_the_last_hidden_states(self, engine: Engine, tiny: Path) -> None:
        model = plain(tiny).base_model
        with torch.inference_mode():
            hidden = model(torch.tensor([CONTEXT])).last_hidden_state[0, -1].numpy()
        wanted = hidden / np.linalg.norm(hidden)
        np.testing.assert_allclose(engine.embed([CONTEXT])[0], wanted, atol=self.tolerance)

    def test_many_callers_at_once_get_their_own_answers(self, engine: Engine, reference: Reference) -> None:
        requests = [Request(CONTEXT[:n], QUESTIONS[:3]) for n in range(5, 35)]
        found: dict[int, list[np.ndarray]] = {}

        def ask(n: int) -> None:
            found[n] = engine.score([requests[n]])[0]

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for n, request in enumerate(requests):
            for question, logprobs in zip(request.questions, found[n], strict=True):
                wanted = self.expected(reference, request.context, question)
                np.testing.assert_allclose(logprobs, wanted, atol=self.tolerance, rtol=0)


class TestTorchChild(ChildContract):
    kind = "torch"


@NEEDS_VLLM
class TestVllmChild(ChildContract):
    kind = "vllm"
    longest = 255  # vLLM writes a token behind each prompt

    def test_log_probabilities_for_a_chat_and_for_scores_at_the_same_time(
        self, client: httpx2.Client, engine: Engine, reference: Reference
    ) -> None:
        body = {"model": "genrec", "messages": [{"role": "user", "content": "w5 w6"}], "max_tokens": 3,
                "temperature": 0, "logprobs": True, "top_logprobs": 4}  # fmt: skip
        alone = client.post("/v1/chat/completions", json=body).json()["choices"][0]["logprobs"]["content"]
        assert [len(token["top_logprobs"]) for token in alone] == [4, 4, 4]
        chats: list[object] = []

        def chat() -> None:
            for _ in range(10):
                reply = client.post("/v1/chat/completions", json=body)
                chats.append(reply.json()["choices"][0]["logprobs"]["content"])

        thread = threading.Thread(target=chat)
        thread.start()
        for _ in range(10):
            self.agree(engine, reference, [Request(CONTEXT, QUESTIONS)])
        thread.join()
        assert chats == [alone] * 10


def test_an_engine_that_is_not_there() -> None:
    with TemporaryDirectory() as place:
        transport = httpx2.HTTPTransport(uds=f"{place}/none.sock")
        with httpx2.Client(transport=transport, base_url="http://engine") as client:
            engine = RemoteEngine(over_socket(client), "remote")
            with pytest.raises(EngineUnavailable, match="cannot be reached"):
                engine.score([Request(CONTEXT, QUESTIONS)])
