"""Everything that the gateway's description lets a client send, and what it does not: no request is answered with a
traceback, and every reply is as described."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from gateway_fixtures import Server
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serve.gateway import openai_bodies, schemas

CHECKS = [
    schemathesis.checks.not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip
PATHS = ("/v1/predict", "/v1/recommend", "/v1/explain", "/v1/rerank", "/v2/rerank", "/v1/chat/completions",
         "/v1/completions", "/v1/embeddings", "/admin/swap", "/v1/models", "/health", "/ready")  # fmt: skip
BODIES = (schemas.PredictBody, schemas.RecommendBody, schemas.RerankBody, schemas.ExplainBody, schemas.SwapBody,
          openai_bodies.ChatBody, openai_bodies.TextBody, openai_bodies.EmbeddedBody)  # fmt: skip
FEW = settings(
    max_examples=6, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(scope="module")
def client(torch_server: Server) -> Iterator[httpx2.Client]:
    with torch_server.client() as found:
        yield found


@pytest.fixture(scope="module")
def described(client: httpx2.Client) -> Any:
    return client.get("/openapi.json").json()


# ---- what is described --------------------------------------------------------------------------------------


def test_every_route_is_tried(described: Any) -> None:
    assert set(described["paths"]) == set(PATHS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda m: m.value)
@pytest.mark.parametrize("path", PATHS)
def test_a_route_answers_as_it_is_described(
    described: Any, torch_server: Server, path: str, mode: GenerationMode
) -> None:
    (method,) = described["paths"][path]
    if mode is GenerationMode.NEGATIVE and method == "get":
        pytest.skip("nothing to get wrong: it takes no parameters")
    operation = schemathesis.openapi.from_dict(described)[path][method]
    headers = {"Authorization": f"Bearer {torch_server.key}"}

    @FEW
    @given(operation.as_strategy(generation_mode=mode))
    def answered(case: Any) -> None:
        if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
            _shortened(case.body)
        reply = case.call(base_url=torch_server.url, headers=headers)
        case.validate_response(reply, checks=CHECKS)
        if reply.status_code >= 400:
            assert set(reply.json()["error"]) == {"message", "type", "param", "code"}

    answered()


def _shortened(body: dict[str, Any]) -> None:
    """What would be asked at length is asked of the one model there is, for a few tokens."""
    if "model" in body:
        body["model"] = "genrec"
    for name in {"max_tokens", "max_completion_tokens"} & set(body) | (
        {"max_tokens"} if "model" in body else set()
    ):
        if "query" not in body and "input" not in body:
            body[name] = 2
    for name in {"n", "best_of"} & set(body):
        body[name] = 1


# ---- what is not --------------------------------------------------------------------------------------------

HUGE = "1" + "0" * 400
ASKED = '{"model": "genrec", "prompt": "a", "max_tokens": 2, '
ODD: dict[str, tuple[str, str | bytes]] = {
    "no body": ("/v1/completions", ""),
    "no object": ("/v1/completions", "[]"),
    "half a character": ("/v1/rerank", r'{"query": "0", "documents": [{"text": "\ud800"}]}'),
    "half a character in a name": ("/v1/completions", r'{"model": "genrec", "\ud800": 1}'),
    "half a character in bytes": ("/v1/predict", b'{"user": "\xed\xa0\x80"}'),
    "UTF-16": ("/v1/predict", '{"user": "0"}'.encode("utf-16")),
    "a deadline beyond any": ("/v1/recommend", f'{{"user": "0", "deadline_ms": {HUGE}}}'),
    "a list beyond any": ("/v1/recommend", f'{{"user": "0", "k": {HUGE}}}'),
    "a weight that is no number": ("/v1/recommend", '{"user": "0", "weights": {"click": NaN}}'),
    "an infinite weight": ("/v1/recommend", '{"user": "0", "weights": {"click": 1e400}}'),
    "a null byte in a path": ("/admin/swap", r'{"adapter": "\u0000"}'),
    "a path beyond any": ("/admin/swap", f'{{"adapter": "{"a" * 9000}"}}'),
    "tokens beyond any": ("/v1/completions", f'{{"model": "genrec", "prompt": "a", "max_tokens": {HUGE}}}'),
    "fewer tokens than none": ("/v1/completions", '{"model": "genrec", "prompt": "a", "max_tokens": -9}'),
    "a seed beyond 64 bits": ("/v1/completions", f'{ASKED} "seed": {HUGE[:31]}}}'),
    "an infinite temperature": ("/v1/completions", f'{ASKED} "stream": true, "temperature": Infinity}}'),
    "an empty stop word": ("/v1/completions", f'{ASKED} "stop": [""]}}'),
    "a token id beyond any": ("/v1/completions", f'{{"model": "genrec", "prompt": [{HUGE}]}}'),
    "no prompt": ("/v1/completions", '{"model": "genrec", "prompt": [], "stream": true}'),
    "nothing to embed": ("/v1/embeddings", '{"model": "genrec", "input": [[]]}'),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_body_is_refused_and_the_next_request_answered(client: httpx2.Client, case: str) -> None:
    path, body = ODD[case]
    reply = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400
    assert reply.json()["error"]["message"]
    assert client.post("/v1/predict", json={"user": "0"}).status_code == 200


@pytest.mark.parametrize("field", [{"temperature": 1e-320}, {"top_p": 1e-320}, {"seed": -(2**63)}], ids=str)
def test_the_ends_of_what_is_allowed_are_answered(client: httpx2.Client, field: dict[str, Any]) -> None:
    asked = {"model": "genrec", "prompt": "Films:", "max_tokens": 2, **field}
    assert client.post("/v1/completions", json=asked).status_code == 200


def test_a_route_that_is_not_there_is_refused_in_openais_shape(client: httpx2.Client) -> None:
    assert client.post("/no/such", json={}).json()["error"]["type"] == "not_found_error"
    reply = client.get("/v1/predict")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert reply.json()["error"]["message"] == "Method Not Allowed"


# ---- schemas ------------------------------------------------------------------------------------------------

NAMES = sorted({name for body in BODIES for name in body.model_fields} | {"item", "click", "ts", "text"})
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400)
    | st.sampled_from(["genrec", "search", "click", "\x00", "\x1f", "0"])
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5)


@pytest.mark.parametrize("body", BODIES)
def test_any_json_is_a_body_or_a_validation_error_and_a_body_survives_its_json(body: type[BaseModel]) -> None:
    def valid() -> Any:
        known = dict.fromkeys(body.model_fields, JSON)
        needed = {name: known.pop(name) for name, field in body.model_fields.items() if field.is_required()}
        return st.fixed_dictionaries(needed, optional=known)

    @settings(max_examples=40, derandomize=True, deadline=None, database=None)
    @given(st.one_of(JSON, OBJECTS, valid()))
    def read(raw: Any) -> None:
        try:
            found = body.model_validate(raw)
        except ValidationError:
            return
        assert body.model_validate(json.loads(found.model_dump_json())) == found
        assert body.model_validate(found.model_dump(exclude_unset=True)) == found

    read()


@pytest.mark.parametrize("body", BODIES)
def test_the_examples_of_a_body_are_bodies(body: type[BaseModel]) -> None:
    for example in body.model_json_schema().get("examples", [{"adapter": "x"}]):
        assert body.model_validate(example).model_dump(exclude_unset=True) == example
