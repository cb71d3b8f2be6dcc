"""The ground floor: tables, sources, labels, splits, statistics, catalog, metrics, the command line's shell."""

from genrec.threads import sleep_while_waiting

sleep_while_waiting()
