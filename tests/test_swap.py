"""Another adapter takes over while the server answers: its weights with its own card, or nothing at all."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx2
import pytest
import torch
from gateway_fixtures import SERVE, Server, free_port, place_with_an_adapter, running
from random_engine import RandomEngine
from safetensors.torch import load_file, save_file

from genrec.dataset import Prepared
from genrec.errors import UserError
from prompts.adapter import CARD, LORA, AdapterCard
from prompts.trie import Trie
from serve.adapters import open_adapter
from serve.child import wire
from serve.child.remote import EngineUnavailable
from serve.gateway.gateway import Gateway
from serve.gateway.limits import Limits
from serve.gateway.run import runs_of, weights
from serve.gateway.supervisor import Supervisor
from serve.merged import MARKER, Merged, successor
from serve.search import Found, ListRequest, top_items

ASKED = {"user": "0", "items": ["1", "2", "3"], "tasks": ["click"]}
LINE = {"slope": 0.5, "intercept": 1.0, "examples": 100, "note": ""}
TREE = Trie({str(n): (1 + n % 5, 1 + n // 5 % 5, 1 + n // 25, 0) for n in range(100)})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/second: other weights than runs/small, and a calibration."""
    place = place_with_an_adapter(tmp_path_factory.mktemp("work"))
    weights(place / "runs" / "small" / "adapter")
    second = copied(place, "second", calibration={"click": LINE})
    torch.manual_seed(0)
    changed = {name: part + 0.1 * torch.randn_like(part) for name, part in load_file(second / LORA).items()}
    save_file(changed, second / LORA)
    weights(second)
    return place


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    with running(place, "torch") as found:
        yield found


def copied(place: Path, name: str, **facts: Any) -> Path:
    """A run like runs/small but for some facts of its card: its adapter's folder."""
    adapter = place / "runs" / name / "adapter"
    shutil.copytree(place / "runs" / "small" / "adapter", adapter)
    card = json.loads((adapter / CARD).read_text())
    for fact, value in facts.items():
        card[fact] = {**card[fact], **value}
    (adapter / CARD).write_text(json.dumps(card))
    os.utime(adapter / CARD, (0, 0))  # the newest is runs/small
    return adapter


def in_process(place: Path, run: str) -> list[float]:
    adapter, data = place / "runs" / run / "adapter", Prepared.load(place / "data" / "simulator")
    served = open_adapter(adapter, data, engine="torch")
    rows = [served.row("0", item) for item in ASKED["items"]]
    return [float(p) for p in served.predictor.predict(rows, ["click"])["click"]]


def predicted(client: httpx2.Client) -> tuple[list[float], list[str]]:
    reply = client.post("/v1/predict", json=ASKED)
    assert reply.status_code == 200, reply.text
    said = reply.json()
    return [item["probabilities"]["click"] for item in said["items"]], said["calibrated"]


def agree(answer: tuple[list[float], list[str]], wanted: list[float], calibrated: list[str]) -> None:
    assert answer[0] == pytest.approx(wanted, abs=1e-4)
    assert answer[1] == calibrated


# ---- over HTTP ----------------------------------------------------------------------------------------------


def test_a_run_of_its_own_takes_over_with_its_calibration_and_goes_again(place: Path, server: Server) -> None:
    first, second = in_process(place, "small"), in_process(place, "second")
    assert min(abs(a - b) for a, b in zip(first, second, strict=True)) > 1e-3
    seen = list[tuple[list[float], list[str]]]()
    done = threading.Event()

    def ask() -> None:
        with server.client() as own:
            while not done.is_set():
                seen.append(predicted(own))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        with server.client() as client:
            reply = client.post(
                "/admin/swap", json={"adapter": str(place / "runs" / "second" / "adapter")}
            ).json()
            assert Path(reply["serving"]).parent == place / "runs" / "second" / "adapter"
            agree(predicted(client), second, ["click"])
            back = client.post("/admin/swap", json={"adapter": reply["before"]}).json()
            assert (back["serving"], back["before"]) == (reply["before"], reply["serving"])
            agree(predicted(client), first, [])
    finally:
        done.set()
        thread.join()
    for answer in seen:  # never one's weights under the other's calibration
        agree(answer, second if answer[1] else first, answer[1])
    assert {bool(calibrated) for _, calibrated in seen} == {True, False}


def test_a_swap_while_the_engine_is_down_stays(place: Path, server: Server) -> None:
    with server.client() as client:
        (engine,) = server.children()
        os.kill(engine, signal.SIGKILL)
        reply = client.post("/admin/swap", json={"adapter": str(place / "runs" / "second" / "adapter")})
        assert reply.status_code == 200
        (engine,) = server.children()
        time.sleep(1)
        assert server.children() == [engine]
        assert predicted(client)[1] == ["click"]
        os.kill(engine, signal.SIGKILL)
        while server.children() in ([], [engine]):
            time.sleep(0.05)
        server.wait_until_ready()
        assert predicted(client)[1] == ["click"]
        client.post("/admin/swap", json={"adapter": reply.json()["before"]})


def test_what_cannot_take_over_is_refused_before_an_engine_is_started(place: Path, server: Server) -> None:
    adapter = copied(place, "older", data={"prompts": "0" * 16})
    (engine,) = server.children()
    with server.client() as client:
        reply = client.post("/admin/swap", json={"adapter": str(adapter)})
    assert reply.status_code == 400
    assert "with other prompts" in reply.json()["error"]["message"]
    assert reply.json()["error"]["param"] == "adapter"
    assert server.children() == [engine]


def test_an_adapter_that_cannot_be_opened_ends_the_server_with_its_error(place: Path) -> None:
    copied(place, "changed", data={"prompts": "0" * 16})
    found = subprocess.run(
        [*SERVE, "--engine", "torch", "--port", str(free_port()), "--keys", "changed.json",
         "--adapter", "runs/changed/adapter"],
        cwd=place, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert found.returncode == 2
    assert "error: The prompts have changed" in found.stderr
    assert "Traceback" not in found.stderr


# ---- what may take over -------------------------------------------------------------------------------------


def away(place: Path, name: str) -> Path:
    """A run outside of runs/."""
    shutil.copytree(place / "runs" / "second", elsewhere := place / f"elsewhere {name}", dirs_exist_ok=True)
    return elsewhere / "adapter"


def linked(place: Path, name: str, part: str) -> Path:
    """A run in runs/, of which a part is a link to such a part outside."""
    adapter = copied(place, name)
    inside, outside = adapter / part, away(place, name) / part
    if part == ".":
        inside = adapter
    shutil.rmtree(inside) if inside.is_dir() else inside.unlink()
    inside.symlink_to(outside)
    return adapter


def without_merged(place: Path) -> Path:
    shutil.rmtree(next((adapter := copied(place, "unmerged")).glob("merged-*")))
    return adapter


def trained_anew(place: Path) -> Path:
    shutil.copy(place / "runs" / "second" / "adapter" / LORA, adapter := copied(place, "anew"))
    return next(adapter.glob("merged-*"))


ANOTHER: dict[str, tuple[Callable[[Path], Path], str]] = {
    "base": (lambda p: copied(p, "base", base={"fingerprint": "f" * 64}), "on another base model"),
    "prompts": (lambda p: copied(p, "prompts", data={"prompts": "0" * 16}), "with other prompts"),
    "data set": (lambda p: copied(p, "data", data={"name": "shop"}), "on another data set"),
    "later log": (lambda p: copied(p, "later", data={"train_end": 1}), "on another data set"),
    "no weights": (without_merged, "have not been merged"),
    "older weights": (trained_anew, "not of the adapter beside them"),
    "elsewhere": (lambda p: away(p, "run"), "Neither an adapter"),
    "a link elsewhere": (lambda p: linked(p, "link", "."), "Neither an adapter"),
    "a linked card": (lambda p: linked(p, "card", CARD), "Neither an adapter"),
    "linked merged weights": (lambda p: linked(p, "merged", "merged-float32"), "leads elsewhere"),
    "a linked file": (lambda p: linked(p, "file", f"merged-float32/{MARKER}"), "leads elsewhere"),
    "the runs themselves": (lambda p: p / "runs", "Neither an adapter"),
    "nothing": (lambda p: p / "runs" / "none", "Neither an adapter"),
}


@pytest.mark.parametrize("case", ANOTHER)
def test_only_a_sound_adapter_of_the_same_kind_may_take_over(place: Path, case: str) -> None:
    made, why = ANOTHER[case]
    adapter, card = made(place), AdapterCard.load(place / "runs" / "small" / "adapter")
    with pytest.raises(UserError, match=why) as refused:
        successor(str(adapter), (place / "runs").resolve(), card)
    assert refused.value.cure
    if case == "no weights":
        assert f"python -m serve.weights {adapter}" in refused.value.cure


def test_an_adapter_is_named_by_its_folder_or_its_weights_and_through_links_inside(place: Path) -> None:
    adapter, runs = place / "runs" / "second" / "adapter", (place / "runs").resolve()
    card = AdapterCard.load(adapter)
    (place / "runs" / "best").symlink_to("second")
    wanted = Merged(next(adapter.glob("merged-*")), card)
    for named in (adapter, wanted.folder, place / "runs" / "best" / "adapter"):
        assert successor(str(named), runs, card) == wanted


def test_the_runs_that_may_be_served_are_fixed_by_the_adapter_or_by_name(place: Path) -> None:
    adapter = place / "runs" / "small" / "adapter"
    assert runs_of(adapter, None) == place / "runs"
    assert runs_of(adapter, str(place)) == place
    with pytest.raises(UserError, match="is not in it"):
        runs_of(adapter, str(place / "data"))


def test_an_engine_is_not_started_on_weights_that_were_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervisor, "_spawn", lambda *_: pytest.fail("started"))

    async def came_up() -> bool:
        (tmp_path / MARKER).write_text("one")
        supervisor = Supervisor("torch", tmp_path, "float32", tmp_path)
        (tmp_path / MARKER).write_text("other")
        supervisor.start()
        try:
            return await supervisor.came_up()
        finally:
            await supervisor.stop()

    assert not anyio.run(came_up)


# ---- in the middle of a search ------------------------------------------------------------------------------


class Scripted:
    """A link to a mock engine. before: called with the number of each call, ahead of its answer."""

    def __init__(self, seed: int, before: Callable[[int], Any]) -> None:
        self.engine, self.before, self.calls, self.in_flight = RandomEngine(seed), before, 0, 0

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.calls += 1
        await self.before(self.calls)
        found = self.engine.score(wire.Score.model_validate_json(body).asked())
        logprobs = [[row.tolist() for row in request] for request in found]
        return 200, wire.Scored(logprobs=logprobs).model_dump_json().encode()


class Scene(Supervisor):
    """A supervisor whose engine is a mock; ended: whether it has been stopped."""

    link: Any = None
    ended = False

    def __init__(self, made: Scripted) -> None:
        self.made = made

    def start(self) -> None:
        self.link = self.made

    async def came_up(self) -> bool:
        return True

    async def stop(self) -> None:
        self.link, self.ended = None, True


def test_a_search_is_of_one_model_also_while_another_takes_over() -> None:
    found = list[Found]()
    request_of_five = ListRequest((5, 6, 7), 5)

    async def never() -> None:
        await anyio.sleep_forever()

    async def ask(gateway: Gateway) -> None:
        key = SimpleNamespace(salt="")
        request: Any = SimpleNamespace(state=SimpleNamespace(key=key), receive=never)
        found.append(
            await gateway.answer(request, lambda _: 1, lambda s: top_items(s.engine, TREE, request_of_five))
        )

    async def play() -> None:
        async with anyio.create_task_group() as group:

            async def swapped(call: int) -> None:
                """Another model has taken over when the second call of the search is answered."""
                if call == 2:
                    group.start_soon(gateway.swap, other)
                    with anyio.fail_after(60):
                        while gateway.merged is not other:
                            await anyio.sleep(0.01)

            async def at_once(call: int) -> None:
                pass

            first, other = Merged(Path("first"), None), Merged(Path("other"), None)  # type: ignore[arg-type]
            scenes = {first: Scene(Scripted(0, swapped)), other: Scene(Scripted(1, at_once))}

            def opened(merged: Merged, engine: Any) -> Any:
                return SimpleNamespace(engine=engine)

            gateway = Gateway(first, scenes.__getitem__, opened, "genrec", Limits())
            with pytest.raises(EngineUnavailable, match="still being read"):
                await gateway.swap(other)
            await gateway.start()
            await ask(gateway)
            assert scenes[first].made.calls > 2
            await ask(gateway)
        assert (scenes[first].ended, scenes[other].ended) == (True, False)

    anyio.run(play)
    assert found == [top_items(RandomEngine(seed), TREE, request_of_five) for seed in (0, 1)]
