"""Faults put into the code by hand, one at a time, to see that a test fails for each: `make mutants`."""
