"""Whatever a file holds, a reader takes it or refuses it in one short line, and soon."""

from __future__ import annotations

import contextlib
import io
import json
import random
import time

import numpy as np
import pytest
from PIL import Image

from datasets import build_imagenet_data
from datasets.records import (
    description,
    example_encoding,
    example_format,
    framing,
    image_files,
    label_file,
    object_boxes,
    record_checks,
    record_files,
)
from datasets.records.image_files import ImageFile
from slim.errors import SuiteError

pytestmark = pytest.mark.once

_LONGEST, _SECONDS = 300, 5
_SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
_NO_ENCODING = '<?xml version="1.0" encoding="x-none"?>'

STRANGE = [
    '',
    '\0',
    '\n',
    '\x1b[2J',
    '\ud800',
    'é' * 400,
    'x' * 5000,
    '../' * 9,
    '-1',
    '1e999',
    'nan',
    '9' * 5000,
    '1' * 400,
    '{' * 3000,
    '[' * 50_000,
    ',',
    ':',
    '\u2028',
    '\x85',
    '<',
    '&a;',
]


def _json(draw):
    """A dataset.json, of which one value or key is something else."""
    content = {
        'name': 'pets',
        'num_classes': 3,
        'has_background': True,
        'label_names': ['background', 'cat', 'dog'],
        'splits': {'train': {'num_samples': 5, 'num_shards': 2}, 'test': {'num_samples': 2}},
    }
    place = content
    while True:
        key = draw.choice([*place, draw.choice(STRANGE)])
        if not isinstance(place.get(key), dict) or draw.random() < 0.3:
            break
        place = place[key]
    place[key] = draw.choice(
        [None, True, 0, -1, 2**70, 10**400, 1.5, float('nan'), [], {}, [[]], draw.choice(STRANGE)]
    )
    text = json.dumps(content, ensure_ascii=draw.random() < 0.5)
    return text.encode(errors='surrogatepass')


def _labels(draw):
    lines = [f'{draw.choice([n, n, draw.choice(STRANGE)])}:class {n}' for n in range(5)]
    return '\n'.join(lines).encode(errors='surrogatepass')


def _xml(draw):
    values = [str(draw.randrange(-5, 200)) for _ in range(6)]
    if draw.random() < 0.6:
        values[draw.randrange(6)] = draw.choice(STRANGE)
    width, height, *sides = values
    box = ''.join(f'<{s}>{v}</{s}>' for s, v in zip(_SIDES, sides, strict=True))
    deep = draw.choice([0] * 20 + [3, 20_000])
    text = (
        f'{draw.choice([""] * 9 + [_NO_ENCODING])}<annotation>{"<a>" * deep}'
        f'<size><width>{width}</width><height>{height}</height></size><object><name>n01</name>'
        f'<bndbox>{box}</bndbox></object>{"</a>" * deep}</annotation>'
    )
    return text.encode(errors='surrogatepass')


def _csv(draw):
    lines = []
    for _ in range(4):
        fields = ['a.JPEG', '0.1', '0.2', '0.3', '0.4']
        if draw.random() < 0.2:
            fields[draw.randrange(5)] = draw.choice(STRANGE)
        lines.append(','.join(fields[: draw.choice([5] * 20 + [2, 0])]))
    return '\n'.join(lines).encode(errors='surrogatepass')


def _records(draw):
    """A file of records, whose features are of any type and number."""
    file = io.BytesIO()
    for _ in range(draw.randrange(1, 4)):
        features = {
            key: draw.choice(
                [
                    example_encoding.bytes_feature(*[draw.randbytes(5)] * draw.randrange(3)),
                    example_encoding.int64_feature(*[draw.randrange(-9, 9)] * draw.randrange(3)),
                    example_encoding.float_feature(*[draw.random()] * draw.randrange(3)),
                    draw.randbytes(6),
                ]
            )
            for key in (example_format.ENCODED, example_format.LABEL, example_format.FILENAME, 'k')
            if draw.random() < 0.9
        }
        record = bytearray(example_encoding.example(features))
        if draw.random() < 0.3:
            record[draw.randrange(len(record))] ^= 1 << draw.randrange(8)
        framing.write_record(file, bytes(record))
    return file.getvalue()


def _picture(draw):
    size, mode = draw.choice([(7, 9), (1, 1), (300, 2)]), draw.choice(['RGB', 'L', 'P', '1'])
    pixels = np.frombuffer(draw.randbytes(size[0] * size[1]), np.uint8).reshape(size)
    image_format = draw.choice(['PNG', 'GIF', 'BMP', 'TIFF', 'WEBP', 'AVIF', 'ICO', 'DDS', 'QOI'])
    file = io.BytesIO()
    with contextlib.suppress(OSError, ValueError):
        Image.fromarray(pixels).convert(mode).save(file, image_format)
    return file.getvalue()


def _check_records():
    facts = record_checks.check_file(record_checks.FileTask('file', range(1, 9), True))
    for problem in facts.problems:
        _check_message(str(problem))
    with contextlib.suppress(SuiteError):
        record_files.count_records('file')


READERS = {
    'dataset.json': (_json, lambda: description.read_description('.')),
    'labels.txt': (_labels, lambda: label_file.read('.')),
    'boxes.xml': (_xml, lambda: object_boxes.read('boxes.xml')),
    'boxes.csv': (_csv, lambda: build_imagenet_data._read_boxes('boxes.csv')),
    'file': (_records, _check_records),
    'picture': (_picture, lambda: image_files.encode_record(ImageFile('picture', 1))),
}


def _damaged(draw, content):
    """Often as it is, else with bytes changed, left out or repeated, or something else."""
    content = bytearray(content)
    kind = draw.choice(['same', 'same', 'bits', 'cut', 'gap', 'twice', 'noise'])
    place = draw.randrange(len(content) + 1)
    if kind == 'bits' and content:
        for _ in range(draw.randrange(1, 9)):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif kind == 'cut':
        del content[place:]
    elif kind == 'gap':
        del content[place : place + draw.randrange(20)]
    elif kind == 'twice':
        content += content[place:]
    elif kind == 'noise':
        content = draw.randbytes(draw.randrange(60))
    return bytes(content)


def _check_message(message):
    assert 0 < len(message) < _LONGEST, message
    assert '\n' not in message and '\x1b' not in message, message


@pytest.mark.parametrize('count', [150, pytest.param(1_700, marks=pytest.mark.slow)])
@pytest.mark.parametrize('name', READERS)
def test_accepted_or_refused_in_one_line(tmp_path, monkeypatch, name, count):
    monkeypatch.chdir(tmp_path)
    make, read = READERS[name]
    draw = random.Random(f'{name} {count}')
    accepted = 0
    for _ in range(count):
        content = _damaged(draw, make(draw))
        (tmp_path / name).write_bytes(content)
        begin = time.process_time()
        try:
            read()
            accepted += 1
        except SuiteError as error:
            _check_message(str(error))
        assert time.process_time() - begin < _SECONDS, content
    assert count / 20 < accepted <= count
