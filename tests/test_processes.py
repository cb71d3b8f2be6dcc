"""What a server answers, and what it does when its processes die, when it is told to end, when too much is asked of it,
when other weights take over: the same tests for both engines."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import numpy as np
import pytest
from gateway_fixtures import SERVE, Server, below, running, starting
from kinds import ENGINES

from genrec.dataset import Prepared
from serve.adapters import open_adapter

pytestmark = pytest.mark.slow
both = pytest.mark.parametrize("engine", ENGINES)


def the_core(server: Server) -> int:
    """The process in which vLLM's server runs the model."""
    (engine,) = server.children()
    (core,) = [pid for pid in below(engine) if "EngineCore" in started_as(pid)]
    return core


def started_as(pid: int) -> str:
    """Its command line; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def gone(pid: int, seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    return not Path(f"/proc/{pid}").exists()


def test_what_it_predicts_is_what_the_same_adapter_predicts_in_process(place: Path, server: Server) -> None:
    served = open_adapter(
        place / "runs" / "small" / "adapter", Prepared.load(place / "data" / "simulator"), engine="torch"
    )
    items = list(served.layout.items)[:12]
    with server.client() as client:
        for user in ("u00001", "u00007", "nobody has this id"):
            reply = client.post("/v1/predict", json={"user": user, "items": items}).json()
            wanted = served.predictor.predict([served.row(user, i) for i in items], ["click", "convert"])
            assert [item["item"] for item in reply["items"]] == items
            assert reply["history_lines"] == served.point(user)
            for task in ("click", "convert", "ctcvr"):
                found = [item["probabilities"][task] for item in reply["items"]]
                np.testing.assert_allclose(found, wanted[task], atol=1e-4)
            comes = served.predictor.predict([served.user_row(user, "return")], ["return"])["return"]
            assert reply["about_user"]["return"] == pytest.approx(float(comes[0]), abs=1e-4)
            listed = client.post("/v1/recommend", json={"user": user, "k": 5, "candidates": 5}).json()
            assert listed["exact"]
            assert {item["item"] for item in listed["items"]} == {
                i for i, _ in served.recommend(user, 5).items
            }


def test_other_weights_take_over_without_a_failed_request(place: Path, server: Server) -> None:
    (folder,) = (place / "runs" / "small" / "adapter").glob("merged-float32")
    copy = folder.with_name("merged-copy")
    if not copy.exists():
        copy.mkdir()
        for file in folder.iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
    with server.client(timeout=600) as client:
        statuses: list[int] = []
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                statuses.append(
                    client.post("/v1/predict", json={"user": "0", "items": ["1", "2"]}).status_code
                )

        thread = threading.Thread(target=ask)
        thread.start()
        reply = client.post("/admin/swap", json={"adapter": str(copy)})
        done.set()
        thread.join()
        assert reply.json()["serving"] == str(copy)
        assert set(statuses) == {200}
        back = client.post("/admin/swap", json={"adapter": reply.json()["before"]})
        assert back.json()["serving"] == str(folder)
        assert client.post("/admin/swap", json={"adapter": "/etc"}).status_code == 400


def test_a_killed_engine_is_started_again_and_what_was_in_flight_hears_of_it(server: Server) -> None:
    (engine,) = server.children()
    killed_and_started_again(server, engine, busy=8)
    if below(server.children()[0]):  # vLLM's server has the model in a process of its own
        killed_and_started_again(server, the_core(server), busy=8)
        killed_and_started_again(server, the_core(server), busy=0)


def killed_and_started_again(server: Server, process: int, busy: int) -> None:
    """busy: requests in flight then."""
    (before,) = server.children()
    statuses: list[int] = []
    with server.client() as client:

        def ask() -> None:
            body = {"user": "0", "k": 30, "candidates": 30, "repeat": "allow"}
            statuses.append(client.post("/v1/recommend", json=body).status_code)

        threads = [threading.Thread(target=ask) for _ in range(busy)]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        os.kill(process, signal.SIGKILL)
        for thread in threads:
            thread.join()
        assert len(statuses) == busy
        assert set(statuses) <= {200, 503}
        assert 503 in statuses or not busy
        assert client.get("/health").status_code == 200
        noticed = time.monotonic() + 5  # a server's end within milliseconds, its core's within a heartbeat
        while client.get("/ready").status_code != 503:
            assert time.monotonic() < noticed
        assert client.post("/v1/predict", json={"user": "0"}).status_code == 503
        server.wait_until_ready()
        assert client.post("/v1/predict", json={"user": "0"}).status_code == 200
        assert server.children() != [before]
        assert gone(before)


@both
def test_a_killed_gateway_leaves_no_engine_behind(place: Path, engine: str) -> None:
    with running(place, engine) as server:
        (child,) = server.children()
        left = [child, *below(child)]
        assert len(left) > (engine == "vllm")  # its core is one of them
        server.process.kill()
        server.process.wait()
        assert all(gone(pid) for pid in left)


def test_a_server_that_is_told_to_end_while_its_engine_starts_ends(place: Path) -> None:
    with starting(place, "torch") as server:
        until, engines = time.monotonic() + 60, list[int]()
        while not engines:
            assert time.monotonic() < until
            time.sleep(0.05)
            engines = [pid for pid in server.children() if "serve.child.torch_server" in started_as(pid)]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert gone(engines[0])


def test_a_server_that_was_told_to_end_leaves_no_socket_behind_and_ends_well(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with running(place, "torch") as server:
        assert list(tmp_path.glob("genrec-*/*.sock"))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
    assert not list(tmp_path.glob("genrec-*"))


def test_a_port_that_is_taken_is_refused_before_any_work(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = subprocess.run(
            [*SERVE, "--engine", "torch", "--port", port], cwd=place, capture_output=True, text=True
        )
    assert refused.returncode == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in refused.stderr
    assert not (place / "runs" / "keys.json").exists()


CAP, COST = 9_000, (2 * 10 + 1) * 12  # tokens; click and convert of each of ten items, and the user's return
ADMITTED = CAP // COST  # 35: more than the gateway has threads


@contextmanager
def full(server: Server, sent: int) -> Iterator[list[int]]:
    """A server with --waiting-tokens CAP, whose engine stands still: it has admitted what it can and refused the rest.
    Yields the statuses of the admitted, which come once the engine goes on, at the end."""
    body = {"user": "0", "items": list(map(str, range(10)))}
    with server.client() as client:
        assert client.post("/v1/predict", json=body).status_code == 200  # its context is new only once
    (child,) = server.children()
    os.kill(child, signal.SIGSTOP)  # nothing that is admitted can end before the rest is refused
    answered, refused = list[int](), list[int]()
    all_refused = threading.Event()

    def ask() -> None:
        with server.client() as own:
            reply = own.post("/v1/predict", json=body)
        (refused if reply.status_code == 429 else answered).append(reply.status_code)
        if reply.status_code == 429:
            assert int(reply.headers["retry-after"]) >= 1
        if len(refused) == sent - ADMITTED:
            all_refused.set()

    threads = [threading.Thread(target=ask) for _ in range(sent)]
    for thread in threads:
        thread.start()
    try:
        assert all_refused.wait(60), f"{len(refused)} refused while the engine stood still"
        assert answered == []
        yield answered
    finally:
        os.kill(child, signal.SIGCONT)
        for thread in threads:
            thread.join()


@both
def test_nothing_that_was_accepted_is_lost_when_the_server_is_told_to_end(place: Path, engine: str) -> None:
    with running(place, engine, "--waiting-tokens", str(CAP)) as server:
        with full(server, sent=ADMITTED + 5) as answered:
            server.process.send_signal(signal.SIGTERM)
            until = time.monotonic() + 30
            while listens(server):
                assert time.monotonic() < until
                time.sleep(0.1)
        assert server.process.wait(60) == 0
        assert answered == [200] * ADMITTED


def listens(server: Server) -> bool:
    url = httpx2.URL(server.url)
    with suppress(ConnectionRefusedError), socket.create_connection((url.host, url.port or 80)):
        return True
    return False


@both
def test_a_burst_is_admitted_up_to_the_cap_and_the_rest_refused_at_once(place: Path, engine: str) -> None:
    with running(place, engine, "--waiting-tokens", str(CAP)) as server:
        with full(server, sent=200) as answered:
            pass
        assert answered == [200] * ADMITTED
