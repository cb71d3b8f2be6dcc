"""OpenAI's embeddings, in both engines' servers."""

import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from fastapi.responses import JSONResponse, Response

from serve.child.openai_schemas import EmbeddingsBody, Named

Embed = Callable[[Sequence[Sequence[int]]], Awaitable[np.ndarray]]  # prompts' ids -> (n, width) float32


class Embeddings:
    def __init__(self, model: Named, embed: Embed) -> None:
        self.model, self._embed = model, embed

    async def answer(self, body: EmbeddingsBody) -> Response:
        self.model.check(body.model)
        prompts = self.model.prompts(body.input)
        data = [{"object": "embedding", "index": n, "embedding": _encoded(row, body.encoding_format)}
                for n, row in enumerate(await self._embed(prompts))]  # fmt: skip
        tokens = sum(map(len, prompts))
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "model": self.model.name, "data": data, "usage": usage})


def _encoded(row: np.ndarray, form: str) -> Any:
    return row.tolist() if form == "float" else base64.b64encode(row.astype("<f4").tobytes()).decode()
