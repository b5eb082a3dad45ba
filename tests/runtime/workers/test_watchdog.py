"""Who is said to hang."""

import json
import socket
import time

import pytest

from runtime.workers import cluster, watchdog

MEETING = watchdog.Meeting('here', 0, 'token')


@pytest.fixture
def sockets():
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    made[0].bind(('127.0.0.1', 0))
    made[0].setblocking(False)
    yield made
    for one in made:
        one.close()


def test_rank_0_names_the_worker_that_it_does_not_hear(sockets):
    heard, speaker = sockets
    # Long ago: the watchdog was made, and nobody spoke since.
    guard = watchdog.Watchdog(0, ['h0', 'h1', 'h2'], 30.0, MEETING, heard)
    guard.beat(7)
    guard._heard = dict.fromkeys((1, 2), time.monotonic() - 20)
    address = heard.getsockname()
    for message in (b'noise', json.dumps(['other', 2]).encode(), json.dumps(['token', 1]).encode()):
        speaker.sendto(message, address)
    deadline = time.monotonic() + 30
    while time.monotonic() - guard._heard[1] > 10 and time.monotonic() < deadline:
        guard._listen()
    verdict = guard.verdict(31)
    assert 'Rank 0 on h0 ends the run' in verdict
    assert 'after step 7' in verdict
    assert 'rank 2 on h2 no longer answers' in verdict
    assert 'rank 1' not in verdict


def test_where_all_answer_nobody_is_blamed_and_the_others_blame_rank_0(sockets):
    heard, speaker = sockets
    guard = watchdog.Watchdog(0, ['h0', 'h1'], 30.0, MEETING, heard)
    assert 'all processes live' in guard.verdict(31)
    other = watchdog.Watchdog(1, ['h0', 'h1'], 30.0, MEETING, speaker)
    assert 'rank 0 on h0 does not end the run' in other.verdict(36)


def test_a_worker_tells_rank_0(sockets):
    heard, speaker = sockets
    meeting = watchdog.Meeting('here', heard.getsockname()[1], 'token')
    worker = watchdog.Watchdog(1, ['here', 'here'], 30.0, meeting, speaker)
    worker._tell()
    heard.setblocking(True)
    heard.settimeout(30)
    assert json.loads(heard.recv(1024)) == ['token', 1]


def test_one_worker_is_not_watched():
    with watchdog.watching(cluster.SingleProcess(), 1) as guard:
        guard.beat(1)
