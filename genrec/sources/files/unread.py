"""Which columns of a file are read, and what is said of the others."""

from collections.abc import Callable

from genrec.sources.files.columns import Reader, is_index
from genrec.sources.files.hints import flagged_event, is_flag, meant
from genrec.sources.files.mapping import Column, TableMapping
from genrec.tables import EVENTS


def reads(name: str, table: TableMapping) -> Callable[[str], bool]:
    """Tells of a column of the file whether it has to be typed: others cannot be at fault.

    Of events also what is called like an event and may hold 0 and 1, for the warning about it.
    """
    mapped = {column.source for column in (table.columns or {}).values()}
    if name == "events":
        ours = {Column(n).source for n in EVENTS.names if n not in (table.columns or {})}
        derived = {condition.column for condition in table.derive.values()}
        chosen = mapped | ours | derived
        return lambda column: column in chosen or bool(flagged_event(column))
    if table.columns is not None:
        return lambda column: column in mapped
    return lambda column: not is_index(column)


def name_unread(reader: Reader) -> None:
    """Warn of every column that nothing reads, with what it may have been meant as."""
    table, sheet = reader.mapping, reader.sheet
    used = {reader.column(ours).source for ours in (*EVENTS.names, *(table.columns or {}))}
    used |= {condition.column for condition in table.derive.values()}
    if reader.name != "events" and table.columns is None:
        used |= set(sheet.names)
    where = str(sheet.path)
    unread = [name for name in sheet.names if name not in used and not is_index(name)]
    for name in sheet.names:
        # An index that the mapping names is a column like any other.
        if is_index(name) and name not in {c.source for c in (table.columns or {}).values()}:
            shown = repr(name) if name else "without a name"
            what = f"Column {shown} of {reader.name} left out: it is the row number that pandas writes"
            reader.findings.warn(what, where, "write with index=False")
    plain = []
    for name in unread:
        if hint := _hint(reader, name, used) if reader.name == "events" else "":
            reader.findings.warn(f"Column {name} of events is not read", where, hint)
        else:
            plain.append(name)
    if plain:
        what = (
            "left out, the mapping does not name them" if table.columns is not None else "that nothing reads"
        )
        reader.findings.warn(f"Columns of {reader.name} {what}: {', '.join(plain)}", where)


def _hint(reader: Reader, name: str, used: set[str]) -> str:
    """What to write so that a column is read, "" where nothing is known of it."""
    sheet, table = reader.sheet, reader.mapping
    event = flagged_event(name)
    readable = name in sheet.table.column_names
    if event and event not in table.derive and readable and is_flag(sheet.table[name].combine_chunks()):
        return f"if a row with 1 is a {event} as well, say derive: {{{event}: {name} == 1}}"
    missing = [ours for ours in EVENTS.names if reader.column(ours).source not in sheet.names]
    missing = [ours for ours in missing if not reader.column(ours).always]
    ours = meant(name, missing)
    return f"if it is {ours}, say columns: {{{ours}: {name}}}" if ours else ""
