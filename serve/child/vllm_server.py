"""vLLM's own OpenAI-compatible server with our routes in it: `python -m serve.child.vllm_server --help`.

It becomes vLLM's process and listens on a Unix socket only.
"""

import argparse
import os
import sys

ENVIRONMENT = {"VLLM_PLUGINS": "genrec", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
# By itself it leaves one core free: half of two, for a gateway that needs little.
EVERY_CORE = ("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--folder", required=True, help="a model that transformers saved, tokenizer included")
    parser.add_argument("--dtype", required=True, choices=("float32", "bfloat16"))
    parser.add_argument("--socket", required=True, help="path of the Unix socket, in a private directory")
    parser.add_argument("--served-name", default="genrec", help="what clients call the model (%(default)s)")
    return parser


def command_line(folder: str, dtype: str, socket: str, served_name: str) -> list[str]:
    """vLLM's options."""
    from prompts.dtypes import runnable
    from serve.vllm_engine import BLOCK, CACHE_TOKENS, key_value_bytes, on_cuda

    here, dtype = [], runnable(dtype)
    if not on_cuda():
        space = CACHE_TOKENS * key_value_bytes(folder, dtype)
        here = ["--enforce-eager", "--kv-cache-memory-bytes", str(space)]
    return [
        "--model", folder, "--served-model-name", served_name, "--dtype", dtype, "--uds", socket,
        "--block-size", str(BLOCK), "--hf-overrides", '{"head_dtype": "float32"}', "--load-format", "safetensors",
        "--enable-prefix-caching", "--disable-uvicorn-access-log", "--disable-fastapi-docs", *here,
    ]  # fmt: skip


def main() -> None:
    chosen = arguments(argparse.ArgumentParser(prog="python -m serve.child.vllm_server")).parse_args()
    os.environ.update(ENVIRONMENT)
    os.environ.setdefault(*EVERY_CORE)
    sys.argv[1:] = command_line(chosen.folder, chosen.dtype, chosen.socket, chosen.served_name)
    from vllm.entrypoints.launchers.api_server.entry import main as serve

    serve()


if __name__ == "__main__":
    main()
