"""Which OpenAI requests must not stand in one batch with a score."""

import pytest

from serve.child.logprobs_asked import asks_logprobs


@pytest.mark.parametrize(
    ("body", "asks"),
    [
        (b'{"prompt": "a", "logprobs": 5}', True),
        (b'{"prompt": "a", "logprobs": 0}', True),
        (b'{"messages": [], "logprobs": true, "top_logprobs": 2}', True),
        (b'{"messages": [], "logprobs": false}', False),
        (b'{"prompt": "a", "logprobs": null}', False),
        (b'{"prompt": "a", "prompt_logprobs": 0}', True),
        (b'{"prompt": "logprobs"}', False),
        (b'["logprobs"]', False),
        (b'{"logprobs": 1', False),
    ],
)
def test_which_requests_ask_for_log_probabilities(body: bytes, asks: bool) -> None:
    assert asks_logprobs(body) is asks
