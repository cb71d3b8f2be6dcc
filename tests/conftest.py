"""What every test runs under: no model hub, and no test that fails because the machine was busy."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings
from kinds import ENGINES

if TYPE_CHECKING:
    from pathlib import Path

    from gateway_fixtures import Server

    from genrec.dataset import Prepared

os.environ["HF_HUB_OFFLINE"] = "1"  # read when a library is first imported
os.environ["TQDM_DISABLE"] = "1"
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):  # each has its share of the cores, its servers too
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))
settings.register_profile("genrec", deadline=None)
# For runs that ask only whether a test fails: a failing example is not made smaller, which takes minutes.
settings.register_profile(
    "first-failure", deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
settings.load_profile("genrec")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that no worker is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> "Path":
    """A tiny language model to train or to damage copies of."""
    from training_fixtures import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def shop() -> "Prepared":
    """A small simulated shop to train on."""
    from training_fixtures import tiny_shop

    return tiny_shop()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> "Path":
    """A folder with prepared data and an adapter, as a user has them."""
    from gateway_fixtures import place_with_an_adapter

    return place_with_an_adapter(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module", params=ENGINES)
def server(place: "Path", request: pytest.FixtureRequest) -> "Iterator[Server]":
    """`genrec serve` there, on each kind of engine."""
    from gateway_fixtures import running

    with running(place, request.param) as found:
        yield found


@pytest.fixture(scope="session")
def torch_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Server]":
    """One for every file that only asks; its folder is `place`."""
    from gateway_fixtures import place_with_an_adapter, running

    with running(place_with_an_adapter(tmp_path_factory.mktemp("served")), "torch") as found:
        yield found
