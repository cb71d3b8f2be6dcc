"""What every request passes before any route: its key, its scope, the size and depth of its body."""

import json
import math
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from serve.gateway.keys import Keys
from serve.gateway.limits import Limits

OPEN = {"/health", "/ready"}
# A text, whole, or whatever stands for one at the body's end; a bracket. Possessive, so that no body makes it slow.
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def problem(
    status: int, message: str, kind: str, param: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error in OpenAI's shape."""
    error = {"message": message, "type": kind, "param": param, "code": None}
    return JSONResponse({"error": error}, status, headers)


def scope_of(path: str) -> str:
    if path.startswith("/admin/"):
        return "admin"
    openai = ("/v1/chat/", "/v1/completions", "/v1/embeddings", "/v1/models")
    return "openai" if path.startswith(openai) else "predict"


class Guard:
    """ASGI middleware. A request that it lets through has its key in request.state.key."""

    def __init__(self, app: Any, keys: Keys, limits: Limits) -> None:
        self.app, self.keys, self.limits = app, keys, limits

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        passed = await self._passed(scope, receive)
        if not isinstance(passed, bytes):
            await passed(scope, receive, send)
            return
        left = [{"type": "http.request", "body": passed, "more_body": False}]

        async def again() -> Any:
            return left.pop() if left else await receive()

        await self.app(scope, again, send)

    async def _passed(self, scope: Any, receive: Any) -> bytes | JSONResponse:
        """The body of a request that may go on, or the refusal of one that may not."""
        kind, _, secret = Request(scope).headers.get("authorization", "").partition(" ")
        key = self.keys.of(secret.strip()) if kind.lower() == "bearer" else None
        if key is None:
            what = "No valid API key: send `Authorization: Bearer KEY`"
            return problem(401, what, "authentication_error", headers={"WWW-Authenticate": "Bearer"})
        if (needed := scope_of(scope["path"])) not in key.scopes:
            return problem(403, f"This key has no scope {needed!r}", "permission_error")
        body = await self._body(receive)
        if body is None:
            return problem(
                413, f"A body of more than {self.limits.body_bytes} bytes", "invalid_request_error"
            )
        if (why := _wrong(body, self.limits.json_depth)) is not None:
            return problem(400, why, "invalid_request_error")
        scope.setdefault("state", {})["key"] = key
        return body

    async def _body(self, receive: Any) -> bytes | None:
        """None where it is too long; what follows is not read."""
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self.limits.body_bytes:
                return None
            if not message.get("more_body"):
                return bytes(body)


def _wrong(body: bytes, depth: int) -> str | None:
    """Why a body is refused before it is read as JSON with a schema."""
    if body.count(b"[") + body.count(b"{") > depth and _nesting(body) > depth:
        return f"JSON nested more than {depth} deep"
    if body:
        try:
            read = json.loads(body.decode(), parse_constant=_finite, parse_float=_finite)
        except (ValueError, RecursionError):
            return "The body is not JSON: UTF-8, and every number finite"
        if b"\\u" in body and _halved(read):
            return "The body holds half a character: a \\u escape of a surrogate without its other half"
    return None


def _nesting(body: bytes) -> int:
    """How deep its brackets stand in one another, outside of texts."""
    level = deepest = 0
    for found in _STRUCTURE.finditer(body):
        level += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(found.group(), 0)
        deepest = max(deepest, level)
    return deepest


def _finite(number: str) -> float:
    """A number of JSON; Python would read NaN, Infinity and 1e999 too. Raises ValueError for them."""
    if not math.isfinite(value := float(number)):
        raise ValueError(number)
    return value


def _halved(read: Any) -> bool:
    """Whether a text in it cannot be written as UTF-8."""
    try:
        json.dumps(read, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
