"""Prompts: task files, packs of words, the token layout, the history window, shared-prefix packing."""

import logging

import genrec  # noqa: F401 (before torch: see genrec/threads.py)

# It warns of missing kernels for quantized weights when it is imported, also where none are quantized.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
