"""Named ways to split a data set, as the papers and the users of one do it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from genrec.errors import UserError

if TYPE_CHECKING:  # --help names the protocols, and loads nothing heavy
    from genrec.dataset import Prepared


@dataclass(frozen=True)
class Protocol:
    """split: as genrec.splits reads it. about: who is judged, and who does it so. options: of `genrec data prepare`."""

    split: Mapping[str, Any]
    about: str
    options: str


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "time": Protocol(
            {"by": "time"},
            "the last tenth of time, the tenth before it chooses: what a running service meets",
            "--split time",
        ),
        "leave-last-out": Protocol(
            {"by": "last"},
            "each user's last example, the one before it chooses (SASRec 2018, BERT4Rec 2019)",
            "--split last",
        ),
        "five-fold": Protocol(
            {"by": "users", "folds": 5},
            "a fifth of the users, none of them trained on, another fifth chooses",
            "--split users --folds 5",
        ),
        "ten-fold": Protocol(
            {"by": "users", "folds": 10},
            "a tenth of the users, none of them trained on, another tenth chooses",
            "--split users --folds 10",
        ),
    }
)


def protocol_of(data: "Prepared") -> str:
    """The protocol that a data set is split by, whichever its fold; "" if by none of these."""
    from genrec.splits import whole

    now = {**whole(data.reading.split), "fold": 0}
    same = [name for name, known in PROTOCOLS.items() if {**whole(known.split), "fold": 0} == now]
    return same[0] if same else ""


def require(data: "Prepared", protocol: str, trained_on: Mapping[str, Any]) -> None:
    """Raises UserError, with the commands to run, where a data set is not split by this protocol, or the adapter was
    trained on another one: it has then seen some of what it would be judged on. trained_on: AdapterCard.data."""
    found = protocol_of(data)
    if found == protocol and trained_on["name"] == data.name:
        return
    from genrec.sources import names
    from genrec.splits import another

    source = data.name if data.name in names() else "SOURCE"
    name = another(data.reading, PROTOCOLS[protocol].split).name
    raise UserError(
        f"{protocol} needs another split than {found or data.reading.split.get('by', 'time')}"
        if found != protocol
        else f"The adapter was trained on {trained_on['name']}",
        where=data.name,
        cure=f"prepare and train it so: `genrec data prepare {source} {PROTOCOLS[protocol].options}`, "
        f"`genrec train data/{name}`, `genrec eval --protocol {protocol}`",
    )


def resplit(data: "Prepared", protocol: str, fold: int = 0) -> "Prepared":
    """The same tables and tasks under another protocol; points and statistics are made anew, frozen ones to the new
    end of training. fold: which of the k folds tests, for the protocols that have them.

    Raises UserError for an unknown protocol or fold, and for a data set whose split was given with it.
    """
    from genrec.dataset import prepare
    from genrec.reading import Loaded
    from genrec.splits import another

    if protocol not in PROTOCOLS:
        raise UserError(f"No protocol {protocol!r}", cure=f"use one of: {', '.join(PROTOCOLS)}")
    split = dict(PROTOCOLS[protocol].split)
    folds = split.get("folds", 1)
    if not 0 <= fold < folds:
        raise UserError(f"No fold {fold}", where=protocol, cure=f"there are {folds}, counted from 0")
    if folds > 1:
        split["fold"] = fold
    return prepare(Loaded(data.tables, another(data.reading, split), []), data.tasks)
