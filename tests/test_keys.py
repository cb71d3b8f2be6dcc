"""Keys and bodies at the door, without an engine: what passes is answered with 503, all else is refused before."""

from pathlib import Path
from typing import Any

import pytest
from test_limits import CHAT, LIMITS, gateway, post

from genrec.errors import UserError
from serve.gateway import keys
from serve.gateway.app import application
from serve.gateway.gateway import Gateway
from serve.gateway.keys import SCOPES, Keys

__all__ = ["gateway"]  # a fixture
ROUTES = {"predict": "/v1/predict", "openai": "/v1/chat/completions", "admin": "/admin/swap"}
BODIES: dict[str, dict[str, Any]] = {"predict": {"user": "1"}, "openai": CHAT, "admin": {}}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_opens_the_routes_that_its_scopes_name_and_no_other(
    gateway: Gateway, tmp_path: Path, scope: str
) -> None:
    secret = keys.add(tmp_path / "keys.json", "shop", (scope,))
    app = application(gateway, Keys.load(tmp_path / "keys.json"), Path("runs"))
    for other, path in ROUTES.items():
        status = post(app, path, BODIES[other], secret).status_code
        assert (status == 403) == (other != scope)
        assert post(app, path, BODIES[other], f"{secret}x").status_code == 401


def test_a_revoked_key_opens_nothing_and_the_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secrets = [keys.add(path, name, ("predict",)) for name in ("shop", "other")]
    assert [key.name for secret in secrets if (key := Keys.load(path).of(secret))] == ["shop", "other"]
    keys.revoke(path, "shop")
    assert [key.name for secret in secrets if (key := Keys.load(path).of(secret))] == ["other"]
    assert path.stat().st_mode & 0o077 == 0
    assert not any(secret in path.read_text() for secret in secrets)
    with pytest.raises(UserError, match="no scope 'all'"):
        keys.add(path, "third", ("all",))


def test_a_body_that_is_too_long_or_too_deep_is_not_read(gateway: Gateway, tmp_path: Path) -> None:
    secret = keys.add(tmp_path / "keys.json", "shop", SCOPES)
    app = application(gateway, Keys.load(tmp_path / "keys.json"), Path("runs"))
    assert post(app, "/v1/predict", {"user": "1"}, secret).status_code == 503
    assert post(app, "/v1/predict", {"user": "1" * LIMITS.body_bytes}, secret).status_code == 413
    deep: dict[str, object] = {}
    for _ in range(LIMITS.json_depth):
        deep = {"a": deep}
    assert post(app, "/v1/predict", deep, secret).status_code == 400
