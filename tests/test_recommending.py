"""Where candidates come from and what explanations are worth: the server and the adapter in process, by brute force."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gateway_fixtures import Server, running
from safetensors.torch import load_file, save_file
from scipy.special import logit
from training_fixtures import tiny_config
from transformers import AutoModelForCausalLM

from genrec.dataset import Prepared
from prompts.adapter import AdapterCard
from prompts.attention import NAME
from prompts.base_files import BUILT_IN
from prompts.language_model import load_model, load_tokenizer
from serve.gateway import explain, schemas, work
from serve.served import Served, newest_adapter, served
from serve.torch_engine import TorchEngine, load
from serve.transformers_backbone import TransformersBackbone

UNSCORED = {"weights": {"click": 0}, "retrieve": "embedding"}  # listed as they were retrieved


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    with running(place, "torch") as found:
        yield found


@pytest.fixture(scope="module")
def weights(server: Server, place: Path) -> Path:
    """The folder that the server runs."""
    return next((place / "runs" / "small" / "adapter").glob("merged-*"))


def opened(place: Path, engine: TorchEngine) -> Served:
    folder = newest_adapter(place / "runs")
    data = Prepared.load(place / "data" / "simulator")
    return served(folder, AdapterCard.load(folder), data, load_tokenizer(BUILT_IN), engine)


@pytest.fixture(scope="module")
def here(place: Path, weights: Path) -> Served:
    """What the server runs, in this process."""
    return opened(place, load(str(weights), "float32"))


def by_brute_force(here: Served, user: str, gone: set[str]) -> list[str]:
    items = [item for item in here.layout.items if item not in gone]
    products = here.embed_items(items) @ here.embed_users([user])[0]
    return [items[n] for n in np.argsort(-products, kind="stable")]


def touched(here: Served, user: str) -> set[str]:
    return set(here.touched(user, here.item_task()))


def listed(server: Server, user: str, **options: Any) -> list[str]:
    with server.client() as client:
        body = {"user": user, "k": 30, "candidates": 30, **UNSCORED, **options}
        reply = client.post("/v1/recommend", json=body).json()
    assert (reply["exact"], reply["gap"], reply["fallback"]) == (True, 0.0, "")
    return [item["item"] for item in reply["items"]]


# ---- retrieval by embedding ---------------------------------------------------------------------------------


def test_candidates_by_embedding_are_the_nearest_of_the_whole_catalog(server: Server, here: Served) -> None:
    for user in (*list(here.layout.users)[:4], "nobody has this id"):
        wanted = by_brute_force(here, user, touched(here, user))
        assert listed(server, user, k=6, candidates=6) == wanted[:6]
        assert listed(server, user, repeat="allow") == by_brute_force(here, user, set())


def test_what_is_gone_is_left_out_of_them(server: Server, here: Served) -> None:
    user = next(u for u in here.layout.users if touched(here, u))
    seen, whole = touched(here, user), listed(server, user)
    assert set(whole) == set(here.layout.items) - seen
    assert listed(server, user, exclude=whole[:2]) == whole[2:]
    assert listed(server, user, available=[*whole[3:5], *seen]) == whole[3:5]
    assert listed(server, user, available=[]) == []


def test_a_told_history_has_an_embedding_too(server: Server, here: Served) -> None:
    one, other = ([{"item": i, "click": True}] for i in list(here.layout.items)[:2])
    with server.client() as client:
        body = {"k": 30, "candidates": 30, "repeat": "allow", **UNSCORED}
        found = [client.post("/v1/recommend", json={**body, "history": h}).json() for h in (one, other)]
    assert all(len(reply["items"]) == len(here.layout.items) for reply in found)
    assert found[0]["items"] != found[1]["items"]


def test_candidates_by_embedding_are_scored_like_others(server: Server, here: Served) -> None:
    user = next(iter(here.layout.users))
    with server.client() as client:
        body = {"user": user, "k": 5, "candidates": 8, "retrieve": "embedding"}
        items = client.post("/v1/recommend", json=body).json()["items"]
    assert {i["item"] for i in items} <= set(by_brute_force(here, user, touched(here, user))[:8])
    scores = [item["score"] for item in items]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == items[0]["probabilities"]["click"]


def test_other_weights_have_other_embeddings(place: Path, server: Server, weights: Path) -> None:
    other = weights.with_name("merged-other")
    other.mkdir()
    for file in weights.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    torch.manual_seed(1)
    changed = {n: w + 0.05 * torch.randn_like(w) for n, w in load_file(weights / "model.safetensors").items()}
    save_file(changed, other / "model.safetensors", {"format": "pt"})
    there = opened(place, load(str(other), "float32"))
    user = next(iter(there.layout.users))
    before = listed(server, user, repeat="allow")
    with server.client() as client:
        reply = client.post("/admin/swap", json={"adapter": str(other)}).json()
        try:
            after = listed(server, user, repeat="allow")
        finally:
            client.post("/admin/swap", json={"adapter": reply["before"]})
    assert after == by_brute_force(there, user, set())
    assert after != before
    assert listed(server, user, repeat="allow") == before


def asked(**options: Any) -> schemas.RecommendBody:
    return schemas.RecommendBody.model_validate({"user": "u00001", "k": 5, **options})


@pytest.mark.parametrize("retrieve", ["search", "embedding"])
def test_what_is_not_found_in_time_is_followers_and_says_so(here: Served, retrieve: str) -> None:
    who, now = work.person(here, asked()), time.monotonic()
    followers = work.recommend(who, "genrec", asked(retrieve="followers"), now)
    body = asked(retrieve=retrieve, deadline_ms=3_600_000)
    found = work.recommend(who, "genrec", body, now - 2_400)  # two thirds are over
    assert (found.fallback, found.exact, found.gap) == ("followers", False, None)
    assert [i.item for i in found.items] == [i.item for i in followers.items]
    assert [i.score for i in found.items] == pytest.approx([i.score for i in followers.items], abs=1e-4)
    late = work.recommend(who, "genrec", body, now - 3_600)
    assert (late.fallback, late.exact) == ("not scored", False)


# ---- explanations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_the_lines_that_explain_names_move_the_answer_more_than_others(
    place: Path, tmp_path: Path, seed: int
) -> None:
    """The deletion test, with a model whose answers hang on every line: random weights, larger than a fresh model's."""
    torch.manual_seed(seed)
    config = tiny_config("llama", len(load_tokenizer(BUILT_IN)))
    config.initializer_range = 0.05
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(tmp_path)
    adapter = opened(place, TorchEngine(TransformersBackbone(load_model(str(tmp_path), "float32", NAME))))
    dice, lines = np.random.default_rng(0), 3
    named, random = [], []
    for user in sorted(u for u in adapter.layout.users if adapter.point(u))[:20]:
        who = work.person(adapter, schemas.About(user=user, history=None))
        window = len(explain.lines_read(who))
        if window < 2 * lines:
            continue
        body = schemas.ExplainBody(
            user=user, history=None, item=dice.choice(list(adapter.layout.items)), lines=lines
        )
        told = [window - 1 - moved.line for moved in explain.explain(who, "genrec", body).lines]
        draws = [dice.choice(window, lines, replace=False).tolist() for _ in range(8)]
        whole, without, *others = logit(explain.without_lines(who, body.item, body.task, [(), told, *draws]))
        named.append(abs(whole - without))
        random += [abs(whole - other) for other in others]
    assert len(named) >= 10
    assert np.mean(named) > np.mean(random)
