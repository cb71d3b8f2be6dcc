"""The server over real HTTP: `genrec serve` with the torch engine, its keys, limits and answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from gateway_fixtures import Server, running

from genrec.command import Parser, fill
from genrec.dataset import Prepared
from genrec.errors import UserError
from serve.adapters import open_adapter
from serve.gateway import keys
from serve.gateway.command import keys as keys_command
from serve.gateway.limits import Limits
from serve.guest import GUEST, Told, guest
from serve.served import Served, newest_adapter

POSTED = ("/v1/predict", "/v1/recommend", "/v1/rerank", "/v2/rerank", "/v1/explain", "/v1/chat/completions",
          "/v1/completions", "/v1/embeddings", "/admin/swap", "/no/such/route")  # fmt: skip
ROUTES = [("GET", "/v1/models"), ("GET", "/openapi.json"), *(("POST", path) for path in POSTED)]


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    with running(place, "torch") as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx2.Client]:
    with server.client() as found:
        yield found


@pytest.fixture(scope="module")
def served(place: Path) -> Served:
    """The same adapter in this process."""
    return open_adapter(
        newest_adapter(place / "runs"), Prepared.load(place / "data" / "simulator"), engine="torch"
    )


def message(reply: httpx2.Response) -> str:
    return str(reply.json()["error"]["message"])


# ---- keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_but_health_asks_for_a_key(server: Server, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer gr-wrong"}, {"Authorization": f"Basic {server.key}"}):
        reply = httpx2.request(method, server.url + path, headers=headers)
        assert reply.status_code == 401
        assert reply.json()["error"]["type"] == "authentication_error"
    assert httpx2.get(f"{server.url}/health").status_code == 200


def test_a_key_opens_what_its_scopes_name_and_is_kept_as_a_hash(place: Path) -> None:
    path = place / "some-keys.json"
    secret = keys.add(path, "shop", ("predict",))
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    with running(place, "torch", "--keys", str(path)) as found, found.client(secret) as client:
        assert client.post("/v1/predict", json={"user": "0"}).status_code == 200
        assert client.get("/v1/models").status_code == 403
        assert client.post("/admin/swap", json={"adapter": "x"}).status_code == 403


def test_keys_are_listed_and_revoked_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys.json"

    def told(*arguments: str) -> str:
        run = fill(Parser(prog="genrec keys"), keys_command)
        keys_command.run(run.parse_args([*arguments, "--keys", str(path)]))
        return capsys.readouterr().out

    assert told("list") == ""
    secret, other = told("add", "shop").strip(), told("add", "operator", "--scopes", "admin").strip()
    assert [line.split(maxsplit=1) for line in told("list").splitlines()] == [
        ["shop", "predict, openai"],
        ["operator", "admin"],
    ]
    told("revoke", "shop")
    assert told("list").split() == ["operator", "admin"]
    assert keys.Keys.load(path).of(secret) is None
    assert keys.Keys.load(path).of(other) is not None
    assert path.stat().st_mode & 0o077 == 0
    for wrong, what in (
        (("revoke", "shop"), "no key called 'shop'"),
        (("revoke",), "takes a name"),
        (("list", "x"), "no name"),
    ):
        with pytest.raises(UserError, match=what):
            told(*wrong)


# ---- answers ------------------------------------------------------------------------------------------------


def test_some_tasks_and_own_words(client: httpx2.Client, served: Served) -> None:
    item = next(iter(served.layout.items))
    asked = {"user": "0", "items": [item], "tasks": ["click"]}
    own = client.post("/v1/predict", json=asked).json()
    assert set(own["items"][0]["probabilities"]) == {"click"}
    assert own["about_user"] == {}
    words = client.post("/v1/predict", json={**asked, "query": "Is this one for the rain?"}).json()
    assert words["calibrated"] == []
    assert words["items"][0]["probabilities"]["click"] != own["items"][0]["probabilities"]["click"]


def test_a_reply_says_whom_and_what_the_data_set_knows(client: httpx2.Client, served: Served) -> None:
    items = [next(iter(served.layout.items)), "A title of mine"]
    for user, known in (("u00001", True), ("nobody", False)):
        reply = client.post("/v1/predict", json={"user": user, "items": items}).json()
        assert reply["known"] is known
        assert [item["known"] for item in reply["items"]] == [True, False]
        assert client.post("/v1/recommend", json={"user": user, "k": 1}).json()["known"] is known


def test_a_told_history_is_asked_like_a_users_own(client: httpx2.Client, served: Served) -> None:
    items = list(served.layout.items)
    told = [
        {"item": items[0], "click": True, "convert": True},
        {"item": items[1]},
        {"item": items[2], "click": True},
    ]
    reply = client.post("/v1/predict", json={"history": told, "items": items[3:6]}).json()
    her = guest(served, [Told(items[0], True, True), Told(items[1], False), Told(items[2], True)])
    wanted = her.predictor.predict([her.row(GUEST, i) for i in items[3:6]], ["click"])["click"]
    found = [item["probabilities"]["click"] for item in reply["items"]]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert reply["history_lines"] == 3
    assert reply["known"] is False
    assert GUEST not in served.data.statistics_now().user_codes


def test_recommendations_are_the_exact_search_scored_and_ordered(
    client: httpx2.Client, served: Served
) -> None:
    reply = client.post("/v1/recommend", json={"user": "0", "k": 5, "candidates": 8}).json()
    found = served.recommend("0", 8)
    assert {item["item"] for item in reply["items"]} <= {item for item, _ in found.items}
    assert reply["exact"]
    scores = [item["score"] for item in reply["items"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == reply["items"][0]["probabilities"]["click"]
    assert all("its record and this customer's say" in item["reason"] for item in reply["items"])


def test_a_recommendation_excludes_repeats_and_keeps_to_what_is_available(
    client: httpx2.Client, served: Served
) -> None:
    task = served.item_task()
    user = next(u for u in served.layout.users if served.touched(u, task))
    touched = set(served.touched(user, task))

    def listed(**options: Any) -> list[str]:
        body = {"user": user, "k": 30, "candidates": 30, **options}
        return [item["item"] for item in client.post("/v1/recommend", json=body).json()["items"]]

    assert not set(listed()) & touched
    assert set(listed(repeat="allow")) == set(served.layout.items)
    some = listed()[:4]
    assert set(listed(exclude=some[:1])) == set(listed()) - {some[0]}
    assert set(listed(available=some)) == set(some)


def test_columns_weigh_and_categories_spread(client: httpx2.Client, served: Served) -> None:
    body = {
        "user": "0",
        "k": 30,
        "candidates": 30,
        "repeat": "allow",
        "weights": {"click": 0},
        "columns": {"price": 1},
    }
    listed = [item["item"] for item in client.post("/v1/recommend", json=body).json()["items"]]
    prices = [served.layout.items[item]["price"] for item in listed]
    assert prices == sorted(prices, reverse=True)
    reply = client.post("/v1/recommend", json={**body, "diversify": 1.0}).json()
    first = [served.layout.items[item["item"]]["category"] for item in reply["items"][:2]]
    assert not set(first[0]) & set(first[1])
    assert client.post("/v1/recommend", json={**body, "columns": {"weight": 1}}).status_code == 400


def test_a_deadline_is_answered_with_a_stated_fallback(client: httpx2.Client) -> None:
    reply = client.post("/v1/recommend", json={"user": "1", "k": 3, "deadline_ms": 1}).json()
    assert reply["fallback"] in ("followers", "not scored")  # whichever of its steps the millisecond ended in
    assert not reply["exact"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_rerank_has_coheres_shape(client: httpx2.Client, served: Served, version: str) -> None:
    documents = [served.title(item) for item in list(served.layout.items)[:4]] + ["Something nobody sells"]
    body = {"query": "u00001", "documents": documents, "top_n": 3, "return_documents": True}
    reply = client.post(f"/{version}/rerank", json=body).json()
    scores = [result["relevance_score"] for result in reply["results"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert [documents[r["index"]] for r in reply["results"]] == [
        r["document"]["text"] for r in reply["results"]
    ]
    words = {**body, "query": "Is it for the rain?", "history": [{"item": documents[0], "click": True}]}
    assert len(client.post(f"/{version}/rerank", json=words).json()["results"]) == 3


def test_an_explanation_is_what_leaving_the_line_out_changes(client: httpx2.Client, served: Served) -> None:
    user = next(u for u in served.layout.users if served.point(u) > 4)
    item = next(iter(served.layout.items))
    reply = client.post("/v1/explain", json={"user": user, "item": item, "lines": 3}).json()
    whole = client.post("/v1/predict", json={"user": user, "items": [item], "tasks": ["click"]}).json()
    assert reply["probability"] == pytest.approx(whole["items"][0]["probabilities"]["click"], abs=1e-4)
    effects = [abs(line["effect"]) for line in reply["lines"]]
    assert effects == sorted(effects, reverse=True)
    assert len(effects) == 3


# ---- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("/v1/predict", {"user": "0", "itemz": []}, "itemz"),
        ("/v1/predict", {"user": "0", "tasks": ["happiness"]}, "no task 'happiness'"),
        ("/v1/predict", {"user": "0", "tasks": []}, "tasks"),
        ("/v1/predict", {"user": "0", "history": []}, "exclude each other"),
        ("/v1/predict", {"user": 3.0}, "user"),
        ("/v1/predict", {"user": True}, "user"),
        ("/v1/recommend", {"user": "0", "exclude": ["g00001", " "]}, "name is empty"),
        ("/v1/recommend", {"user": "0", "k": 0}, "k"),
        ("/v1/recommend", {"user": "0", "weights": {"joy": 1}}, "no task 'joy'"),
        ("/v1/recommend", {"user": "0", "columns": {"title": 1}}, "no number column 'title'"),
        ("/v1/rerank", {"query": "0", "documents": [{"title": "x"}]}, "no text"),
        ("/v1/explain", {"user": "0", "item": "1", "task": "return"}, "no task 'return'"),
        (
            "/v1/chat/completions",
            {"model": "genrec", "messages": [{"role": "user", "content": "?"}], "cache_salt": "x"},
            "cache_salt",
        ),
    ],
)
def test_a_mistake_is_named_in_openais_shape(
    client: httpx2.Client, path: str, body: dict[str, Any], why: str
) -> None:
    reply = client.post(path, json=body)
    assert reply.status_code == 400
    assert why in message(reply)


def test_limits_hold_to_the_one(client: httpx2.Client) -> None:
    limits = Limits()
    at = client.post("/v1/rerank", json={"query": "0", "documents": ["x"] * limits.candidates})
    assert at.status_code == 200
    over = client.post("/v1/rerank", json={"query": "0", "documents": ["x"] * (limits.candidates + 1)})
    assert (over.status_code, "1,000 at most" in message(over)) == (400, True)
    fill = limits.body_bytes - len(b'{"user": ""}')
    assert (
        client.post("/v1/predict", content=b'{"user": "' + b"u" * fill + b'"}').status_code == 400
    )  # a long name
    assert client.post("/v1/predict", content=b'{"user": "' + b"u" * (fill + 1) + b'"}').status_code == 413
    for depth, why in ((limits.json_depth, "valid dictionary"), (limits.json_depth + 1, "nested")):
        reply = client.post("/v1/predict", content=b'{"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}")
        assert reply.status_code == 400
        assert why in message(reply)
    history = [{"item": "1"}] * (limits.history + 1)
    assert client.post("/v1/predict", json={"history": history}).status_code == 400
    assert client.post("/v1/predict", json={"history": history[1:]}).status_code == 200
    for tokens, status in ((4_096, 200), (4_097, 400)):  # what the model reads
        asked = {"model": "genrec", "prompt": [5] * tokens, "max_tokens": 1}
        reply = client.post("/v1/completions", json=asked)
        assert (reply.status_code, "reads 4096" in reply.text) == (status, status == 400)
    assert "not JSON" in message(client.post("/v1/predict", content=b"{"))


# ---- the server itself ----------------------------------------------------------------------------------------


def test_the_gateway_loads_no_model_library() -> None:
    code = "import sys, serve.gateway.run; print(sorted({'torch', 'vllm', 'transformers', 'peft'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_what_the_server_can_do_is_described(client: httpx2.Client) -> None:
    described = client.get("/openapi.json").json()
    for method, path in ROUTES:
        if path not in ("/openapi.json", "/no/such/route"):
            assert method.lower() in described["paths"][path]
    assert json.dumps(described).count('"examples"') > 3
