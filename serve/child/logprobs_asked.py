"""Whether an OpenAI request wants log-probabilities, which vLLM cannot give beside a score (turns.py)."""

import json


def asks_logprobs(body: bytes) -> bool:
    """Of a text 0 asks for those of its own tokens. What is not JSON is for vLLM to refuse."""
    if b"logprobs" not in body:
        return False
    try:
        asked = json.loads(body)
    except ValueError:
        return False
    wanted = [asked.get(k) for k in ("logprobs", "prompt_logprobs")] if isinstance(asked, dict) else []
    return any(value is not None and value is not False for value in wanted)
