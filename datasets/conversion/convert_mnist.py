"""MNIST's published IDX files, packed by gzip or not, as TFRecords of PNG files."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from datasets import mnist
from datasets.conversion import conversion, set_writer, source_files
from datasets.conversion.conversion import Conversion, Settings
from datasets.conversion.downloads import RemoteFile
from datasets.conversion.progress_bar import Progress
from datasets.conversion.set_writer import Workplace
from datasets.conversion.source_files import MissingSourceError
from datasets.records import example_format
from datasets.records.description import Description
from slim.errors import DataError

_SPLIT_TO_PREFIX = {'train': 'train', 'test': 't10k'}
# Name of the files: PREFIX-KIND; for each kind the magic number and the number of dimensions.
_KINDS = {'images': ('images-idx3-ubyte', 0x803, 3), 'labels': ('labels-idx1-ubyte', 0x801, 1)}

# split -> kind -> path
_Source = Mapping[str, Mapping[str, str]]


def find(source_dir: str) -> _Source:
    """The paths of the four files."""
    found: dict[str, dict[str, str]] = {}
    missing = []
    for split_name, prefix in _SPLIT_TO_PREFIX.items():
        found[split_name] = {}
        for kind, (suffix, _, _) in _KINDS.items():
            name = f'{prefix}-{suffix}'
            # Some tools unpack with a dot for the second hyphen.
            spellings = [name, name.replace('-idx', '.idx')]
            names = [spelling + packed for packed in ('', '.gz') for spelling in spellings]
            path = source_files.first_existing(source_dir, names)
            if path is None:
                missing.append(f'{name}.gz')
            else:
                found[split_name][kind] = path
    if missing:
        raise MissingSourceError(
            f'MNIST is not complete in {source_dir}: expected {", ".join(missing)} (or unpacked, '
            'without .gz).'
        )
    return found


def convert(
    source: _Source, place: Workplace, settings: Settings, progress: Progress
) -> Description:
    """Writes both splits, in the order of the files."""
    del settings
    arrays = {split_name: _read_split(paths) for split_name, paths in source.items()}
    splits = {
        split_name: set_writer.write_shards(
            place.records,
            split_name,
            mnist.FILE_PATTERN % split_name,
            1,
            _examples(images, labels),
            len(images),
            progress,
        )
        for split_name, (images, labels) in arrays.items()
    }
    conversion.compare_with_published(
        'MNIST',
        {name: split.num_samples for name, split in splits.items()},
        mnist.SPLITS_TO_SIZES,
        progress,
    )
    return Description(
        mnist.PUBLISHED.name,
        mnist.PUBLISHED.num_classes,
        has_background=False,
        splits=splits,
        label_names=mnist.LABEL_NAMES,
    )


def _read_split(paths: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [n, h, w] and uint8 [n]."""
    images, labels = (_read_idx(paths[kind], *_KINDS[kind][1:]) for kind in ('images', 'labels'))
    if len(images) != len(labels):
        raise DataError(
            f'{paths["images"]} has {len(images)} images, but {paths["labels"]} has {len(labels)} '
            'labels.'
        )
    if not images.size:
        raise DataError(f'{paths["images"]} has no images.')
    wrong = np.flatnonzero(labels >= len(mnist.LABEL_NAMES))
    if len(wrong):
        raise DataError(
            f'{paths["labels"]}: image {wrong[0]} (counted from 0) has the label '
            f'{labels[wrong[0]]}, but the labels of MNIST are 0 to {len(mnist.LABEL_NAMES) - 1}.'
        )
    return images, labels


def _read_idx(path: str, magic: int, dimensions: int) -> np.ndarray:
    """A file of bytes in the IDX format: magic number, sizes (all big-endian uint32), values."""
    contents = _unpacked(path)
    header = struct.Struct(f'>{1 + dimensions}I')
    found = struct.unpack_from('>I', contents)[0] if len(contents) >= 4 else None
    if found != magic:
        shown = 'nothing' if found is None else f'{found:#010x}'
        raise DataError(f'{path} begins with {shown}, not with {magic:#010x}: it is another file.')
    if len(contents) < header.size:
        raise DataError(f'{path} is cut off in its header.')
    shape = header.unpack_from(contents)[1:]
    expected = header.size + int(np.prod(shape, dtype=np.int64))
    if len(contents) != expected:
        raise DataError(
            f'{path} has {len(contents)} bytes, but its header says {expected}: it is cut off or '
            'damaged.'
        )
    return np.frombuffer(contents, np.uint8, offset=header.size).reshape(shape)


def _unpacked(path: str) -> bytes:
    try:
        with (gzip.open if path.endswith('.gz') else open)(path, 'rb') as file:
            return file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f'{path} cannot be read: it is cut off or damaged ({error}).') from error


def _examples(images: np.ndarray, labels: np.ndarray) -> Iterator[tf.train.Example]:
    for image, label in zip(images, labels, strict=True):
        yield example_format.make_example(
            conversion.encode_png(image),
            int(label),
            *image.shape,
            image_format='png',
            colorspace='Grayscale',
            channels=1,
            text=mnist.LABEL_NAMES[label],
        )


_MIRROR = 'https://storage.googleapis.com/cvdf-datasets/mnist/'

CONVERSION = Conversion(
    'mnist',
    find,
    convert,
    file_patterns=(mnist.FILE_PATTERN % '*',),
    remote_files=tuple(
        RemoteFile(_MIRROR + name, f'sha256:{checksum}', size)
        for name, size, checksum in (
            (
                'train-images-idx3-ubyte.gz',
                9912422,
                '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
            ),
            (
                'train-labels-idx1-ubyte.gz',
                28881,
                '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
            ),
            (
                't10k-images-idx3-ubyte.gz',
                1648877,
                '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
            ),
            (
                't10k-labels-idx1-ubyte.gz',
                4542,
                'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
            ),
        )
    ),
)
