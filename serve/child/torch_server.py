"""The torch engine as a server on a Unix socket: `python -m serve.child.torch_server --help`."""

import argparse
from functools import cached_property
from typing import Any

from serve.child.vllm_server import arguments


class TokenizerAtFirstUse:
    """transformers' tokenizer of a folder, loaded when OpenAI's routes first need it: to import transformers takes
    seconds, and predictions come as token ids."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @cached_property
    def _loaded(self) -> Any:
        from prompts.language_model import load_tokenizer

        return load_tokenizer(self._folder)

    def __len__(self) -> int:
        return len(self._loaded)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._loaded(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loaded, name)


def main() -> None:
    chosen = arguments(argparse.ArgumentParser(prog="python -m serve.child.torch_server")).parse_args()
    import uvicorn

    from serve.child.torch_app import app
    from serve.child.torch_openai import routes
    from serve.torch_engine import load

    engine = load(chosen.folder, chosen.dtype)
    made = app(engine)
    tokenizer = TokenizerAtFirstUse(chosen.folder)
    made.include_router(routes(engine, tokenizer, chosen.served_name, made.state.line))
    uvicorn.run(made, uds=chosen.socket, log_level="warning", timeout_graceful_shutdown=None)


if __name__ == "__main__":
    main()
