"""The harness, the baselines, the comparison and the report."""

import genrec  # noqa: F401 (before torch: see genrec/threads.py)
