"""Engines that turn prompts into probabilities, what is computed from them, and the commands that ask them.

engine.py says what an engine is, torch_engine.py is the embedded one; search.py finds the exact top items,
predictor.py every task's probabilities; bench/ measures candidates a second.
"""

import genrec  # noqa: F401 (before torch: see genrec/threads.py)
