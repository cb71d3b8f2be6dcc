"""Ids and names as text: the one way from any column type that a warehouse writes to the strings of the tables."""

import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_UUID_BYTES = 16


class NotText(ValueError):
    """The column holds no text. rows: bool, (rows,), true where a value is at fault. cure: what to do about it."""

    def __init__(self, what: str, rows: np.ndarray, cure: str) -> None:
        self.what, self.rows, self.cure = what, rows, cure
        super().__init__(what)


def plain(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The array as one piece, without a dictionary; of an extension type (JSON, say) its storage, but for uuids.

    A column without any value is a column of text.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # some types cannot be combined
            array = pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array.type, pa.BaseExtensionType) and array.type.extension_name != "arrow.uuid":
        array = array.storage
    return pa.nulls(len(array), pa.string()) if array.null_count == len(array) else array


def as_text(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Text, whole numbers of any width, decimals of scale 0, uuids and bytes in UTF-8 as strings; null stays null.

    Raises NotText for every other type: a decimal number or a date is no id.
    """
    array = plain(array)
    kind = array.type
    if pa.types.is_string(kind):
        return array
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_integer(kind):
        return array.cast(pa.string())
    if pa.types.is_decimal(kind) and kind.scale <= 0:
        return pa.array([None if v is None else str(int(v)) for v in array.to_pylist()], pa.string())
    if isinstance(kind, pa.BaseExtensionType):
        return _uuids(array.storage)
    if is_bytes(kind):
        return _decoded(array)
    cure = "write it as text or whole numbers"
    if pa.types.is_floating(kind):
        cure += " (an empty cell makes whole numbers decimal)"
    raise NotText(f"{kind}, not text", filled(array), cure)


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a type is one of bytes, such as Parquet's BYTE_ARRAY without the mark of text."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def filled(array: pa.Array) -> np.ndarray:
    """bool, (rows,): where a value is."""
    valid: np.ndarray = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _uuids(storage: pa.Array) -> pa.Array:
    return pa.array(
        [None if v is None else str(uuid.UUID(bytes=v)) for v in storage.to_pylist()], pa.string()
    )


def _decoded(array: pa.Array) -> pa.Array:
    """Bytes as the text they encode; 16 bytes in each row that are no text are uuids."""
    texts: list[str | None] = []
    bad = np.zeros(len(array), bool)
    for row, value in enumerate(array.to_pylist()):
        try:
            texts.append(None if value is None else value.decode("utf-8"))
        except UnicodeDecodeError:
            texts.append(None)
            bad[row] = True
    fixed = pa.types.is_fixed_size_binary(array.type) and array.type.byte_width == _UUID_BYTES
    if fixed and (bad.any() or not all(text is None or text.isprintable() for text in texts)):
        return _uuids(array)
    if bad.any():
        raise NotText("bytes that are not UTF-8", bad, "write it as text, for example in hexadecimal digits")
    return pa.array(texts, pa.string())


def number_of(array: pa.Array) -> pa.Array:
    """Decimals as numbers: int64 where the scale is 0 and all fit, else float64. Other types as they are."""
    if not pa.types.is_decimal(array.type):
        return array
    if (
        array.type.scale <= 0
        and pc.all(pc.less(pc.abs(array.cast(pa.float64())), 2.0**63)).as_py() is not False
    ):
        return pa.array([None if v is None else int(v) for v in array.to_pylist()], pa.int64())
    return array.cast(pa.float64())


def floats(array: pa.Array) -> np.ndarray:
    """float64, NaN where it is null or no number. True and false, dates and times are no numbers."""
    kind = array.type
    if (
        pa.types.is_boolean(kind)
        or pa.types.is_nested(kind)
        or pa.types.is_temporal(kind)
        or isinstance(kind, pa.BaseExtensionType)
    ):
        return np.full(len(array), np.nan)
    try:  # Arrow reads text to the last digit; pandas does not, but goes on after what is no number
        return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    return np.asarray(pd.to_numeric(array.to_pandas(), errors="coerce"), dtype=np.float64)
