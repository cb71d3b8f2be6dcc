"""Prompts: task files, packs of words, the token layout, the history window, shared-prefix packing."""
