"""The harness, the baselines, the comparison and the report."""
