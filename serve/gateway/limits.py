"""What one request may ask for, and what all of them together may make the engine compute."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Checked before any model work. waiting_tokens: tokens admitted and not yet answered, over all clients."""

    body_bytes: int = 1 << 20
    json_depth: int = 16
    history: int = 2_000  # events told by a request
    candidates: int = 1_000  # items or documents
    query_characters: int = 2_000
    top: int = 200  # of a recommendation
    chat_tokens: int = 1_024  # written for a chat that does not say how many, each choice
    text_tokens: int = 16  # the same of a text completion, as OpenAI's
    written_tokens: int = 32_768  # written for one request, all its prompts and choices together
    waiting_tokens: int = 200_000
