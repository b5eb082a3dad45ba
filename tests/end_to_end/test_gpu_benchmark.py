"""The benchmark for GPUs runs where there is none, with tiny numbers."""

import json
import re
import subprocess
import sys

import processes
import pytest

SCRIPT = processes.ROOT / 'benchmarks' / 'gpu.py'

pytestmark = [pytest.mark.slow, pytest.mark.once]


def test_a_row_of_each_mode_and_why_one_has_no_numbers(tmp_path):
    rows = tmp_path / 'rows.jsonl'
    command = [
        *(sys.executable, str(SCRIPT), '--device=cpu', '--models=cifarnet,none'),
        *('--image_size=32', '--batches=4', '--steps=2', '--steps_per_run=2', '--xla=off'),
        *('--precisions=fp32,fp16', '--torch_python=', f'--json={rows}'),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown[0].startswith('card: ')
    assert shown[1] == 'PyTorch and torchvision are not there: no rows of theirs'
    found = [json.loads(line) for line in rows.open()]
    # fp16 is for GPUs alone.
    assert [(row['model'], row['mode'], row['precision']) for row in found] == [
        (model, mode, 'fp32')
        for model in ('cifarnet', 'none')
        for mode in ('training', 'inference')
    ]
    for line, row in zip(shown[2:4], found, strict=False):
        assert row['images_per_sec'] > 0 and row['first_step'] > 0 and row['memory_mib'] > 100
        assert re.search(r' \d+\.\d images/s  first step +\d+\.\d s  peak [\d,]+ MiB$', line)
    for line, row in zip(shown[4:], found[2:], strict=True):
        assert 'none' in row['error'] and row['error'] in line
