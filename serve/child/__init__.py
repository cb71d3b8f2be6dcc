"""The engine in a process of its own, behind a Unix socket.

wire.py says what is said on it. vllm_plugin.py and torch_app.py answer, in vLLM's own server and in a small one around
the torch engine; remote.py asks, and is an Engine again.
"""
