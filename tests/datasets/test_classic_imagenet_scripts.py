"""datasets/process_bounding_boxes.py and build_imagenet_data.py keep names, flags and results."""

from __future__ import annotations

import inspect
import io
import os
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pytest
from PIL import Image

from datasets import build_imagenet_data, dataset_factory
from datasets import process_bounding_boxes as boxes

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))

# Name, default: the classic script's.
FLAGS = {
    'train_directory': '/tmp/',
    'validation_directory': '/tmp/',
    'output_directory': '/tmp/',
    'train_shards': 1024,
    'validation_shards': 128,
    'num_threads': 8,
    'labels_file': 'imagenet_lsvrc_2015_synsets.txt',
    'imagenet_metadata_file': 'imagenet_metadata.txt',
    'bounding_box_file': './imagenet_2012_bounding_boxes.csv',
}


def _run(module, *arguments, code=0):
    finished = subprocess.run(
        [sys.executable, '-m', f'datasets.{module}', *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == code, finished.stderr
    return finished


@pytest.fixture
def annotations(tmp_path):
    """Boxes of two images, the first with two, one of them outside the image."""
    for name, sides in {
        'n01/n01_1.xml': [(3, 2, 9, 4), (6, 4, 99, 8)],
        'n02/n02_0.xml': [(12, 8, 0, 0)],
    }.items():
        path = tmp_path / 'boxes' / name
        path.parent.mkdir(parents=True)
        objects = ''.join(
            f'<object><name>thing</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>'
            f'<ymax>{d}</ymax></bndbox></object>'
            for a, b, c, d in sides
        )
        path.write_text(
            '<annotation><filename>%s</filename><size><width>12</width><height>8</height></size>'
            f'{objects}</annotation>'
        )
    return tmp_path / 'boxes'


def test_signatures_of_process_bounding_boxes():
    for function, parameters in (
        (boxes.GetItem, '(name, root, index=0)'),
        (boxes.GetInt, '(name, root, index=0)'),
        (boxes.FindNumberBoundingBoxes, '(root)'),
        (boxes.ProcessXMLAnnotation, '(xml_file)'),
    ):
        bare = inspect.signature(function)
        shown = ', '.join(
            p.name if p.default is p.empty else f'{p.name}={p.default}'
            for p in bare.parameters.values()
        )
        assert f'({shown})' == parameters


def test_items_of_an_annotation(annotations):
    root = xml.etree.ElementTree.parse(annotations / 'n01' / 'n01_1.xml').getroot()
    assert boxes.FindNumberBoundingBoxes(root) == 2
    assert boxes.GetItem('name', root) == 'thing'
    assert [boxes.GetInt('xmin', root, index) for index in range(3)] == [3, 6, -1]


def test_boxes_of_an_annotation(annotations):
    first, second = boxes.ProcessXMLAnnotation(str(annotations / 'n01' / 'n01_1.xml'))
    assert (first.xmin, first.ymin, first.xmax, first.ymax) == (3, 2, 9, 4)
    assert (first.width, first.height, first.filename, first.label) == (
        12,
        8,
        'n01_1.JPEG',
        'thing',
    )
    scaled = (second.xmin_scaled, second.ymin_scaled, second.xmax_scaled, second.ymax_scaled)
    assert scaled == (0.5, 0.5, 1.0, 1.0)


def test_csv(annotations, tmp_path):
    lines = _run('process_bounding_boxes', annotations).stdout.splitlines()
    assert lines == [
        'n01_1.JPEG,0.2500,0.2500,0.7500,0.5000',
        'n01_1.JPEG,0.5000,0.5000,1.0000,1.0000',
        'n02_0.JPEG,0.0000,0.0000,1.0000,1.0000',
    ]
    (tmp_path / 'synsets').write_text('n02\n')
    chosen = _run('process_bounding_boxes', annotations, tmp_path / 'synsets').stdout
    assert chosen.splitlines() == lines[2:]


def test_wrong_calls_of_process_bounding_boxes(annotations, tmp_path):
    assert 'give a folder' in _run('process_bounding_boxes', code=2).stderr
    (annotations / 'n01' / 'n01_1.xml').write_text('<')
    failed = _run('process_bounding_boxes', annotations, code=3)
    assert 'n01_1.xml cannot be read' in failed.stderr
    assert 'Traceback' not in failed.stderr


def test_flags_of_build_imagenet_data():
    own = build_imagenet_data.FLAGS
    ours = own.flags_by_module_dict()[build_imagenet_data.__name__]
    assert {flag.name: flag.default for flag in ours} == FLAGS


def test_image_coder(image_bytes):
    coder = build_imagenet_data.ImageCoder()
    png = image_bytes('PNG')
    for encoded in (coder.png_to_jpeg(png), coder.cmyk_to_rgb(image_bytes('JPEG', 'CMYK'))):
        with Image.open(io.BytesIO(encoded)) as image:
            assert (image.format, image.mode, image.size) == ('JPEG', 'RGB', (12, 8))
    pixels = coder.decode_jpeg(coder.png_to_jpeg(png))
    assert pixels.shape == (8, 12, 3) and pixels.dtype == np.uint8
    with Image.open(io.BytesIO(png)) as image:
        assert np.abs(pixels.astype(float) - np.asarray(image)).mean() < 12
    assert coder.decode_jpeg(image_bytes('JPEG', 'L')).shape == (8, 12, 3)


@pytest.fixture
def arguments(tmp_path, image_bytes):
    """The flags of a small conversion."""
    for split, count in (('train', 3), ('validation', 2)):
        for synset in ('n02', 'n01'):
            folder = tmp_path / split / synset
            folder.mkdir(parents=True)
            for number in range(count):
                name = f'{synset}_{number}.JPEG' if split == 'train' else f'{synset}_v{number}.JPEG'
                (folder / name).write_bytes(image_bytes(seed=len(synset) + number))
    (tmp_path / 'labels.txt').write_text('n02\nn01\n')
    (tmp_path / 'names.txt').write_text('n01\ttench, fish\nn02\tgoldfish\nn99\tother\n')
    (tmp_path / 'boxes.csv').write_text('n02_1.JPEG,0.25,0.5,0.75,1.0\nn02_1.JPEG,1.5,0,0.5,0.5\n')
    return {
        'train_directory': tmp_path / 'train',
        'validation_directory': tmp_path / 'validation',
        'output_directory': tmp_path / 'out',
        'train_shards': 2,
        'validation_shards': 1,
        'num_threads': 2,
        'labels_file': tmp_path / 'labels.txt',
        'imagenet_metadata_file': tmp_path / 'names.txt',
        'bounding_box_file': tmp_path / 'boxes.csv',
    }


def _build(arguments, code=0, **changes):
    return _run(
        'build_imagenet_data',
        *[f'--{name}={value}' for name, value in (arguments | changes).items()],
        code=code,
    )


def test_build_imagenet_data(arguments, tmp_path, read_back):
    _build(arguments)
    assert sorted(os.listdir(tmp_path / 'out')) == [
        'conversion_report.json',
        'dataset.json',
        'train-00000-of-00002',
        'train-00001-of-00002',
        'validation-00000-of-00001',
    ]
    train = dataset_factory.get_dataset('imagenet', 'train', str(tmp_path / 'out'))
    assert train.name == tmp_path.name  # its classes are not those of ImageNet
    assert train.labels_to_names == {0: 'background', 1: 'goldfish', 2: 'tench, fish'}
    items = {item['filename'].decode(): item for item in read_back(train)}
    assert {name: int(item['label']) for name, item in items.items()} == {
        f'n0{synset}_{number}.JPEG': 3 - synset for synset in (1, 2) for number in range(3)
    }
    assert items['n02_1.JPEG']['bbox'].tolist() == [[[0.5, 0.25, 1.0, 0.75], [0.0, 0.5, 0.5, 1.0]]]
    assert items['n02_0.JPEG']['bbox'].shape == (1, 0, 4)


@pytest.mark.parametrize(
    ('name', 'content', 'code', 'match'),
    [
        (
            'boxes.csv',
            'n07_1.JPEG,0,0,1,1\n',
            3,
            'boxes for 1 images that are not there: n07_1.JPEG',
        ),
        ('boxes.csv', 'n02_1.JPEG,0,0,1\n', 3, 'boxes.csv, line 1: expected file name, xmin'),
        ('names.txt', 'n01\tx\n', 3, 'names.txt has no name for n02'),
        ('labels.txt', 'n02\n', 3, "'n01'"),
        ('labels.txt', None, 3, 'labels.txt cannot be read'),
    ],
)
def test_bad_input_is_one_line(arguments, tmp_path, name, content, code, match):
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    failed = _build(arguments, code=code)
    assert match in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert not (tmp_path / 'out').exists()


def test_a_wrong_flag(arguments):
    assert 'train_shards' in _build(arguments, code=2, train_shards=0).stderr
