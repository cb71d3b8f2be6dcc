"""Named ways to split a data set, as the papers and the users of one do it."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from genrec.dataset import Prepared, prepare
from genrec.errors import UserError
from genrec.reading import Loaded

PROTOCOLS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # all of training before all of validation before all of the test: what a running service meets
        "time": {"by": "time", "fractions": [0.8, 0.1, 0.1]},
        # each user's last example tests, the one before it chooses (Kang and McAuley, SASRec, ICDM 2018; Sun et al.,
        # BERT4Rec, CIKM 2019); other users' later events are in training
        "leave-last-out": {"by": "last"},
        # users no part of whose history was trained on: fold 0 of k tests, the next one chooses
        "five-fold": {"by": "users", "folds": 5, "fold": 0},
        "ten-fold": {"by": "users", "folds": 10, "fold": 0},
    }
)


def resplit(data: Prepared, protocol: str, fold: int = 0) -> Prepared:
    """The same tables and tasks under another protocol; points and statistics are made anew, frozen ones to the new
    end of training. fold: which of the k folds tests, for the protocols that have them.

    Raises UserError for an unknown protocol or fold, and for a data set whose split was given with it.
    """
    if protocol not in PROTOCOLS:
        raise UserError(f"No protocol {protocol!r}", cure=f"use one of: {', '.join(PROTOCOLS)}")
    split = dict(PROTOCOLS[protocol])
    if data.reading.split.get("by") == "given":
        raise UserError(
            "This data set's split was given with it", where=data.name, cure="evaluate it as it is"
        )
    if fold and not 0 <= fold < split.get("folds", 1):
        raise UserError(
            f"No fold {fold}", where=protocol, cure=f"there are {split.get('folds', 1)}, counted from 0"
        )
    if "folds" in split:
        split["fold"] = fold
    return prepare(Loaded(data.tables, replace(data.reading, split=split), []), data.tasks)
