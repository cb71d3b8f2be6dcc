"""Ids of every type that a warehouse writes become the same text."""

import uuid
from decimal import Decimal

import pyarrow as pa
import pytest

from genrec.sources.files.text import NotText, as_text

ID = uuid.UUID("83dead03-5356-49d6-9614-ec3e8015dd2c")


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([12, None], pa.int8()), "12"),
        (pa.array([2**64 - 1, None], pa.uint64()), "18446744073709551615"),
        (pa.array([Decimal(12), None], pa.decimal128(38, 0)), "12"),
        (pa.array([Decimal(10**50), None], pa.decimal256(60, 0)), "1" + "0" * 50),
        (pa.array([Decimal(1200), None], pa.decimal128(5, -2)), "1200"),
        (pa.array(["é", None], pa.string_view()), "é"),
        (pa.array(["é", None], pa.large_string()).dictionary_encode(), "é"),
        (pa.array(["é".encode(), None], pa.binary()), "é"),
        (pa.array(["é".encode(), None], pa.binary_view()), "é"),
        (pa.array([b"sixteen letters!", None], pa.binary(16)), "sixteen letters!"),
        (pa.array([ID.bytes, None], pa.binary(16)), str(ID)),
        (pa.array([ID.bytes, None], pa.uuid()), str(ID)),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_ids_are_text_whatever_their_type(array: pa.Array, expected: str) -> None:
    text = as_text(pa.chunked_array([array, array]))
    assert text.type == pa.string()
    assert text.to_pylist() == [expected, None] * 2


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (pa.array([None, 7.0]), "an empty cell makes whole numbers decimal"),
        (pa.array([None, Decimal("7.50")], pa.decimal128(9, 2)), "text or whole numbers"),
        (pa.array([None, True]), "text or whole numbers"),
        (pa.array([None, [1]]), "text or whole numbers"),
        (pa.array([b"a", b"\xff"]), "hexadecimal"),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_what_is_no_text_is_refused_by_row_and_cure(array: pa.Array, why: str) -> None:
    with pytest.raises(NotText) as caught:
        as_text(array)
    assert caught.value.rows.tolist() == [False, True]
    assert why in caught.value.cure
