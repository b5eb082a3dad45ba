"""The notebook that migrates MobileNetV1: its code, cell after cell, at a small size."""

from __future__ import annotations

import json
import pathlib
import re

import pytest

_NOTEBOOK = (
    pathlib.Path(__file__).parents[2] / 'mobilenet' / 'notebooks' / 'migrate_mobilenet_v1.ipynb'
)


def _cells() -> list[str]:
    cells = json.loads(_NOTEBOOK.read_text())['cells']
    return [''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code']


@pytest.mark.once
def test_it_holds_no_outputs():
    cells = json.loads(_NOTEBOOK.read_text())['cells']
    assert not [cell for cell in cells if cell.get('outputs') or cell.get('execution_count')]


@pytest.mark.slow
@pytest.mark.once
def test_every_cell_runs(tmp_path, capfd):
    settings, *cells = _cells()
    values = {'WIDTH': 0.25, 'IMAGE_SIZE': 64, 'NUM_CLASSES': 11, 'FOLDER': str(tmp_path / 'here')}
    for name, value in values.items():
        settings, count = re.subn(rf'(?m)^{name} = [^#\n]*', f'{name} = {value!r}  ', settings)
        assert count == 1
    scope: dict = {}
    for cell in (settings, *cells):
        exec(compile(cell, str(_NOTEBOOK), 'exec'), scope)
    said = capfd.readouterr().out
    assert 'its last weights' in said
    assert scope['difference'] < 1e-5
    sizes = scope['sizes']
    assert 0.2 < sizes['dynamic'] / sizes['float'] < 0.4
    assert 0.45 < sizes['float16'] / sizes['float'] < 0.6
    assert scope['differences']['float16'] < 0.02
    assert scope['differences']['dynamic'] < 0.2
    written = {path.name for path in (tmp_path / 'here').iterdir()}
    forms = {'float.tflite', 'dynamic.tflite', 'float16.tflite'}
    assert forms | {'ckpt', 'tf', 'keras', 'slim'} <= written
