"""What the machine's matrix products would allow: candidates a second if nothing else took any time."""

import time
from pathlib import Path

SIZE = {"cpu": 2_048, "cuda": 8_192}  # of the square matrices: large enough to fill the device
REPEATS = 3


def flops_a_second(dtype: str) -> float:
    """The best of a few products of two SIZE x SIZE matrices of that format, where the model would run."""
    import torch

    from prompts.dtypes import DTYPES

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = SIZE[device]
    a, b = (torch.rand(size, size, device=device).to(DTYPES[dtype]) for _ in range(2))
    fastest = float("inf")
    for _ in range(REPEATS + 1):  # the first one warms up
        started = time.perf_counter()
        found = a @ b
        float(found[0, 0])  # waits for a GPU
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest


def parameters(folder: Path) -> tuple[int, int]:
    """Of a model's safetensors files: all, and those that each token is multiplied with, which leaves out the
    embedding and the head: a token is looked up in one, and only the last of a question meets the other."""
    from safetensors import safe_open

    every = body = 0
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "np") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                size = 1
                for side in tensors.get_slice(name).get_shape():
                    size *= side
                every += size
                body += 0 if "embed_tokens" in name or "lm_head" in name else size
    return every, body


def candidates_a_second(flops: float, body: int, tokens: float) -> float:
    """tokens: that have to be computed for one candidate, its share of the context's included."""
    return flops / (2 * body * tokens)
