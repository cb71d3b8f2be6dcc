"""The process that clients talk to: HTTP, keys, limits, admission, and everything about users and items.

It imports no model library: the model is a child's (serve/child/), which supervisor.py starts, watches and replaces.
"""
