"""Small archives in the published formats, and what is in them."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import pickle
import struct
import tarfile
import zipfile

import numpy as np
from PIL import Image

FLOWERS = ('daisy', 'dandelion', 'roses', 'sunflowers', 'tulips')
CIFAR_NAMES = [
    'airplane',
    'automobile',
    'bird',
    'cat',
    'deer',
    'dog',
    'frog',
    'horse',
    'ship',
    'truck',
]
IMAGENETTE = [
    'n01440764',
    'n02102040',
    'n02979186',
    'n03000684',
    'n03028079',
    'n03394916',
    'n03417042',
    'n03425413',
    'n03445777',
    'n03888257',
]


def noise(seed, *shape):
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def jpeg(seed, size=(10, 7)):
    file = io.BytesIO()
    Image.fromarray(noise(seed, size[1], size[0], 3)).save(file, 'JPEG')
    return file.getvalue()


def tar(path, folder, mode='w:gz'):
    """The contents of `folder` as an archive in which they are below its name."""
    with tarfile.open(path, mode) as archive:
        archive.add(folder, pathlib.Path(folder).name)
    return path


def cifar10_batches(per_batch=3):
    """Split to (uint8 [n, 32, 32, 3], labels), and the same by file number."""
    images = noise(1, 6 * per_batch, 32, 32, 3)
    labels = np.arange(6 * per_batch) % 10
    first_test = 5 * per_batch
    return {
        'train': (images[:first_test], labels[:first_test]),
        'test': (images[first_test:], labels[first_test:]),
    }


def _cifar10_files(splits):
    """(number of the training batch or 0 for test, rows uint8 [n, 3072], labels)."""
    parts = [(0, *splits['test'])]
    for number, (images, labels) in enumerate(
        zip(np.split(splits['train'][0], 5), np.split(splits['train'][1], 5), strict=True), 1
    ):
        parts.append((number, images, labels))
    for number, images, labels in parts:
        yield number, images.transpose(0, 3, 1, 2).reshape(len(images), -1), labels


def cifar10_binary(folder, splits=None):
    """cifar-10-batches-bin in `folder`; returns the splits."""
    splits = splits or cifar10_batches()
    out = pathlib.Path(folder) / 'cifar-10-batches-bin'
    out.mkdir(parents=True)
    for number, rows, labels in _cifar10_files(splits):
        name = f'data_batch_{number}.bin' if number else 'test_batch.bin'
        rows = np.concatenate([labels[:, None].astype(np.uint8), rows], axis=1)
        (out / name).write_bytes(rows.tobytes())
    (out / 'batches.meta.txt').write_text('\n'.join(CIFAR_NAMES) + '\n\n')
    return splits


def cifar10_python(folder, splits=None):
    """cifar-10-batches-py in `folder`, with the keys that Python 2 wrote; returns the splits."""
    splits = splits or cifar10_batches()
    out = pathlib.Path(folder) / 'cifar-10-batches-py'
    out.mkdir(parents=True)
    for number, rows, labels in _cifar10_files(splits):
        batch = {b'data': np.ascontiguousarray(rows), b'labels': [int(n) for n in labels]}
        name = f'data_batch_{number}' if number else 'test_batch'
        (out / name).write_bytes(pickle.dumps(batch, protocol=2))
    names = {b'label_names': [name.encode() for name in CIFAR_NAMES]}
    (out / 'batches.meta').write_bytes(pickle.dumps(names, protocol=2))
    return splits


def idx(magic, array):
    return struct.pack(f'>{1 + array.ndim}I', magic, *array.shape) + array.tobytes()


def mnist(folder, packed=True):
    """The four files in `folder`; returns split to (uint8 [n, 28, 28], labels)."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    splits = {}
    for split, prefix, count in (('train', 'train', 12), ('test', 't10k', 5)):
        images, labels = noise(count, count, 28, 28), (np.arange(count) % 10).astype(np.uint8)
        splits[split] = images, labels
        for name, contents in (
            (f'{prefix}-images-idx3-ubyte', idx(0x803, images)),
            (f'{prefix}-labels-idx1-ubyte', idx(0x801, labels)),
        ):
            if packed:
                (folder / f'{name}.gz').write_bytes(gzip.compress(contents))
            else:
                (folder / name).write_bytes(contents)
    return splits


def class_folders(folder, classes, counts, first_seed=0):
    """`counts` JPEG files for each class; returns {contents: class}."""
    files = {}
    for class_name, count in zip(classes, counts, strict=True):
        class_dir = pathlib.Path(folder) / class_name
        class_dir.mkdir(parents=True)
        for number in range(count):
            contents = jpeg(first_seed + len(files))
            (class_dir / f'{class_name}_{number}.jpg').write_bytes(contents)
            files[contents] = class_name
    return files


def coco(folder, packed=False):
    """COCO 2014 with 6 + 4 images in `folder`; returns split to {contents: label}.

    In turn: no object, a dog, a small person, a large person (the only positive one).
    """
    folder = pathlib.Path(folder)
    (folder / 'annotations').mkdir(parents=True)
    expected = {}
    for split, name, count in (('train', 'train2014', 6), ('val', 'val2014', 4)):
        images, annotations, expected[split] = [], [], {}
        (folder / name).mkdir()
        for number in range(count):
            file_name = f'COCO_{name}_{number:012d}.jpg'
            contents = jpeg(count * 100 + number, size=(40, 20))
            (folder / name / file_name).write_bytes(contents)
            images.append({'id': number, 'file_name': file_name, 'width': 40, 'height': 20})
            # 4 of 800 pixels are 0.005, which is not more than the threshold
            kind = number % 4
            if kind:
                annotations.append(
                    {
                        'image_id': number,
                        'category_id': 18 if kind == 1 else 1,
                        'area': 4 if kind == 2 else 200,
                        'bbox': [10, 5, 20, 10],
                        'segmentation': [[1, 2, 3]],
                    }
                )
            expected[split][contents] = int(kind == 3)
        content = {
            'images': images,
            'annotations': annotations,
            'categories': [{'id': 1, 'name': 'person'}, {'id': 18, 'name': 'dog'}],
        }
        (folder / 'annotations' / f'instances_{name}.json').write_text(json.dumps(content))
    if packed:
        for archive, name in (
            ('train2014.zip', 'train2014'),
            ('val2014.zip', 'val2014'),
            ('annotations_trainval2014.zip', 'annotations'),
        ):
            with zipfile.ZipFile(folder / archive, 'w') as file:
                for path in sorted((folder / name).iterdir()):
                    file.write(path, f'{name}/{path.name}')
                    path.unlink()
            (folder / name).rmdir()
    return expected
