"""What a column that nothing reads may have been meant as: one of ours under another name, or an event as 0 and 1."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

import pyarrow as pa

from genrec.sources.files.text import filled, floats

_OTHER_NAMES = {
    "user_id": ("user", "uid", "customer", "customerid", "client", "clientid", "memberid", "visitorid", "account"),
    "item_id": ("item", "iid", "sku", "product", "productid", "articleid", "movieid", "contentid", "goodsid", "asin"),
    "ts": ("time", "timestamp", "datetime", "date", "eventtime", "createdat", "unixtime", "when"),
    "event": ("eventtype", "eventname", "action", "type", "behavior", "behaviour", "behaviortype"),
    "value": ("rating", "score", "amount", "price", "revenue", "stars", "dwell", "dwelltime"),
    "request_id": ("request", "pageid", "pageviewid", "impressionid", "slateid", "queryid"),
    "position": ("pos", "rank", "slot"),
    "title": ("name", "itemname", "productname", "producttitle", "itemtitle", "headline"),
}  # fmt: skip
_EVENT_FLAGS = {
    "click": ("click", "clicked", "isclick", "isclicked", "hasclick", "clicks", "ctr"),
    "convert": ("convert", "converted", "conversion", "isconversion", "purchase", "purchased", "ispurchase", "bought",
                "buy", "order", "ordered", "cvr"),
}  # fmt: skip
_CLOSE = 0.8


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def meant(name: str, ours: Iterable[str]) -> str:
    """Which of our columns a name is close to, or another name of; "" for none.

    >>> meant("itemid", ["user_id", "item_id"])
    'item_id'
    """
    plain = {_plain(column): column for column in ours}
    for column in plain.values():
        if _plain(name) in (_plain(column), *_OTHER_NAMES.get(column, ())):
            return column
    close = get_close_matches(_plain(name), plain, n=1, cutoff=_CLOSE)
    return plain[close[0]] if close else ""


def nearest(missing: str, names: Iterable[str]) -> str:
    """Which column of a file may be the one that is missing; "" for none.

    >>> nearest("ts", ["who", "timestamp"])
    'timestamp'
    """
    names = list(names)
    if direct := [name for name in names if meant(name, [missing])]:
        return direct[0]
    return next(iter(get_close_matches(missing, names, n=1, cutoff=_CLOSE)), "")


def flagged_event(name: str) -> str:
    """The event that a column of 0 and 1 of this name tells of; "" for none.

    >>> flagged_event("is_click")
    'click'
    """
    return next((event for event, names in _EVENT_FLAGS.items() if _plain(name) in names), "")


def is_flag(array: pa.Array) -> bool:
    """Whether a column holds nothing but 0 and 1, true and false."""
    if pa.types.is_boolean(array.type):
        return True
    values = floats(array)[filled(array)]
    return bool(len(values)) and bool(((values == 0) | (values == 1)).all())
