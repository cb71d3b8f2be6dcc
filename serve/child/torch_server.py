"""The torch engine as a server on a Unix socket: `python -m serve.child.torch_server --help`."""

import argparse

from serve.child.vllm_server import arguments


def main() -> None:
    chosen = arguments(argparse.ArgumentParser(prog="python -m serve.child.torch_server")).parse_args()
    import uvicorn

    from prompts.language_model import load_tokenizer
    from serve.child.torch_app import app
    from serve.child.torch_openai import routes
    from serve.torch_engine import load

    engine = load(chosen.folder, chosen.dtype)
    made = app(engine)
    tokenizer = load_tokenizer(chosen.folder)
    made.include_router(routes(engine, tokenizer, chosen.served_name, made.state.line))
    uvicorn.run(made, uds=chosen.socket, log_level="warning", timeout_graceful_shutdown=None)


if __name__ == "__main__":
    main()
