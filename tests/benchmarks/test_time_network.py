"""benchmarks/time_network.py: its statistics, and a run of the smallest network."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / 'benchmarks' / 'time_network.py'


@pytest.mark.once
def test_the_statistics_are_those_of_the_steps(monkeypatch):
    monkeypatch.setattr(sys, 'path', ['', *sys.path])  # As a script, it changes the first.
    spec = importlib.util.spec_from_file_location('time_network', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    seconds = [number / 1000 for number in range(1, 101)]
    assert module.summary(seconds[::-1], batch_size=8) == pytest.approx(
        {
            'mean_ms': 50.5,
            'stdev_ms': 29.0115,
            'median_ms': 50.5,
            'p95_ms': 95.0,
            'images_per_sec': 8 / 0.0505,
        },
        rel=1e-5,
    )
    assert module.summary([0.5], 1)['p95_ms'] == 500


@pytest.mark.once
@pytest.mark.slow
def test_a_network_is_timed_forward_and_backward(tmp_path):
    command = ['--model_name=lenet', '--steps=3', '--warmup=1', '--batch_size=2']
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *command, '--part=forward_backward'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout.splitlines()[-1])
    assert values['input'] == [2, 28, 28, 1]
    assert 0 < values['median_ms'] <= values['p95_ms']
    assert values['images_per_sec'] == pytest.approx(2000 / values['mean_ms'])
    assert values['peak_memory_mb'] > 100 and values['warmup_secs'] > 0
