"""The ground floor: tables, sources, labels, splits, statistics, catalog, metrics, the command line's shell."""
