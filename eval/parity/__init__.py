"""Whether every way of asking an adapter gives the same answer: `python -m eval.parity ADAPTER`.

drawn.py draws the prompts from the test split, ways.py answers them, gaps.py compares the answers.
"""
