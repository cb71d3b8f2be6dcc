"""API keys: made here, shown once, kept as hashes."""

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from genrec.errors import UserError
from genrec.fields import read_stored

SCOPES = ("predict", "openai", "admin")
STORED = [{"name": str, "sha256": str, "scopes": [str]}]


@dataclass(frozen=True)
class Key:
    """name: the tenant's. sha256: of the key, whose 256 random bits need no slow hash."""

    name: str
    sha256: str
    scopes: tuple[str, ...]

    @property
    def salt(self) -> str:
        """Keeps this tenant's cached prefixes from the others'; known to nobody else."""
        return hashlib.sha256(f"cache salt of {self.sha256}".encode()).hexdigest()


class Keys:
    """The keys of a file, which only its owner may read."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = keys

    @classmethod
    def load(cls, path: Path) -> "Keys":
        stored = read_stored(path, STORED, "restore it, or delete it and add keys anew")
        return cls([Key(raw["name"], raw["sha256"], tuple(raw["scopes"])) for raw in stored])

    def of(self, secret: str) -> Key | None:
        """The key that this is, in a time that does not tell how much of it was right."""
        digest, found = hashlib.sha256(secret.encode()).hexdigest(), None
        for key in self._keys:
            if hmac.compare_digest(digest, key.sha256):
                found = key
        return found


def listed(path: Path) -> list[Key]:
    """The keys of a file, which does not hold their secrets."""
    return Keys.load(path)._keys if path.exists() else []


def revoke(path: Path, name: str) -> None:
    """Take a key out of the file. Raises UserError for a name that is not there."""
    keys = listed(path)
    if name not in (names := [key.name for key in keys]):
        cure = f"name one of: {', '.join(names)}" if names else "there is none to revoke"
        raise UserError(f"There is no key called {name!r}", where=str(path), cure=cure)
    _write(path, [key for key in keys if key.name != name])


def add(path: Path, name: str, scopes: tuple[str, ...]) -> str:
    """Write a new key to the file and return it: it cannot be read there again.

    Raises UserError for a name that is taken or a scope that is not one of SCOPES.
    """
    if odd := [scope for scope in scopes if scope not in SCOPES]:
        raise UserError(f"There is no scope {odd[0]!r}", cure=f"choose among {', '.join(SCOPES)}")
    keys = listed(path)
    if any(key.name == name for key in keys):
        raise UserError(f"There is a key called {name!r}", where=str(path), cure="choose another name")
    secret = f"gr-{secrets.token_urlsafe(32)}"
    keys = [*keys, Key(name, hashlib.sha256(secret.encode()).hexdigest(), scopes)]
    _write(path, keys)
    return secret


def _write(path: Path, keys: list[Key]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}")
    part.touch(mode=0o600)
    part.write_text(json.dumps([asdict(key) for key in keys], indent=1))
    part.replace(path)
