"""What a list of next items costs over catalogs of a thousand to a million titles: `python -m eval.lists --help`."""
