"""What the folders of tests share: the server of scripts, things made once, less garbage."""

from __future__ import annotations

import fcntl
import gc
import os
import pathlib
from collections.abc import Callable, Iterator

import pytest
import script_server

MakeOnce = Callable[[str, Callable[[pathlib.Path], None]], pathlib.Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        '--exhaustive',
        action='store_true',
        help='The tests marked exhaustive as well, and processes killed at a hundred random '
        'moments instead of some ten: minutes more.',
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than cores: many tests wait for a process, or for a moment to disturb it."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.fixture(scope='session')
def exhaustive(pytestconfig: pytest.Config) -> bool:
    """Whether tests of random moments look at many more."""
    return bool(pytestconfig.getoption('--exhaustive'))


@pytest.fixture(scope='session')
def server() -> Iterator[script_server.Server]:
    """Starts scripts with TensorFlow imported; its process comes up with the first of them."""
    with script_server.Server() as server:
        yield server


@pytest.fixture(scope='session')
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """make_once(name, make): a folder that `make(folder)` has filled, in the one test process that
    came first; the others wait and get the same folder. Nobody may change it."""
    shared = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:  # Each has a folder of its own in that of the run.
        shared = shared.parent

    def make_once(name: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
        folder, done = shared / f'once-{name}', shared / f'once-{name}.done'
        with open(shared / f'once-{name}.lock', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                folder.mkdir()  # Where the first has failed, the others fail as well.
                make(folder)
                done.touch()
        return folder

    return make_once


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of minutes come first: one that begins last is waited for by all other processes."""
    if not config.getoption('--exhaustive'):
        rare = [item for item in items if item.get_closest_marker('exhaustive')]
        config.hook.pytest_deselected(items=rare)
        items[:] = [item for item in items if not item.get_closest_marker('exhaustive')]
    items.sort(key=lambda item: item.get_closest_marker('slow') is None)


def pytest_collection_finish() -> None:
    """TensorFlow and the test files are half a million objects, which each full collection would
    walk through; a graph being built is full of new ones, which would make it walk often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
