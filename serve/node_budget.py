"""How far a search of the catalog goes where nobody says otherwise. Commands read it, so it imports nothing."""

# Paths of the catalog's trie that a search for the best items extends at most (serve/search.py). The exact ten of an
# adapter that had learned took 79 at most over MovieLens (docs/probabilities.md). One that has hardly learned is unsure
# everywhere and takes 300 to 600 there (docs/benchmarks.md); an untrained one would extend most of the catalog.
NODES = 200
