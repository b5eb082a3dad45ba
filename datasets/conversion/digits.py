"""The built-in sample: scikit-learn's 1,797 handwritten digits, as JPEG files and as TFRecords.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (its test part, 8x8 pixels, 17 gray levels); the package carries them, nothing is
downloaded.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator

from PIL import Image

from datasets.conversion import split_writer
from datasets.conversion.progress_bar import Progress, tell
from datasets.records import description, record_files
from datasets.records.description import Description, Split
from datasets.records.image_files import ImageFile
from datasets.records.record_writer import shuffled
from slim.errors import DataError, OutputError

CACHE_VARIABLE = 'TF_SLIM_SUITE_CACHE'

# Part of the folder's name: raise it when what is written changes.
_VERSION = 1
_FOLDER = f'digits-v{_VERSION}'

_IMAGES = 'images'  # class folders: images/train/0 ... images/validation/9
_IMAGE_SIZE = 32
_MAX_GRAY = 16
_JPEG_QUALITY = 95
_SHUFFLE_SEED = 12345

DESCRIPTION = Description(
    name='digits',
    num_classes=10,
    has_background=False,
    splits={'train': Split(1437, num_shards=8), 'validation': Split(360, num_shards=4)},
    label_names=tuple('0123456789'),
)


def default_cache_dir() -> str:
    """$TF_SLIM_SUITE_CACHE, or tf-slim-suite below $XDG_CACHE_HOME or ~/.cache."""
    if os.environ.get(CACHE_VARIABLE):
        return os.environ[CACHE_VARIABLE]
    caches = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    return os.path.join(caches, 'tf-slim-suite')


def ensure_sample(cache_dir: str | None = None, progress: Progress = tell) -> str:
    """The folder of the sample's records, which is written first if it is not there or not whole.

    Beside the records (32x32 gray JPEG, labels 0..9, 1,437 to train and 360 held out) and
    dataset.json it has the image files in class folders below images/. A set that is whole is not
    touched, so the cache may then be read-only. Raises OutputError where the cache cannot be
    written.
    """
    cache_dir = os.path.abspath(cache_dir or default_cache_dir())
    dataset_dir = os.path.join(cache_dir, _FOLDER)
    if _is_whole(dataset_dir):
        return dataset_dir
    try:
        os.makedirs(cache_dir, exist_ok=True)
        with _lock(os.path.join(cache_dir, f'.{_FOLDER}.lock')):
            # Another process may have been faster.
            if not _is_whole(dataset_dir):
                progress(f'writing the sample of handwritten digits to {dataset_dir}')
                _rebuild(cache_dir, dataset_dir)
    except OSError as error:
        raise OutputError(
            f'The cache folder {cache_dir} cannot be written ({error}). '
            f'Name another one in the environment variable {CACHE_VARIABLE}.'
        ) from error
    return dataset_dir


def _rebuild(cache_dir: str, dataset_dir: str) -> None:
    """Writes the set beside its place and moves it there; called under the lock."""
    prefix = f'.{_FOLDER}.'
    for name in os.listdir(cache_dir):
        # What a process that was killed has left; nobody else can be writing now.
        if name.startswith(prefix) and not name.endswith('.lock'):
            shutil.rmtree(os.path.join(cache_dir, name))
    workplace = tempfile.mkdtemp(prefix=prefix, dir=cache_dir)
    try:
        new = os.path.join(workplace, 'new')
        _write(new)
        if os.path.lexists(dataset_dir):
            os.rename(dataset_dir, os.path.join(workplace, 'old'))
        os.rename(new, dataset_dir)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _write(dataset_dir: str) -> None:
    for split_name, images in _write_images(os.path.join(dataset_dir, _IMAGES)).items():
        num_shards = DESCRIPTION.splits[split_name].num_shards
        assert num_shards is not None
        in_order = shuffled(images, _SHUFFLE_SEED)
        split_writer.write_split(
            in_order, dataset_dir, split_name, num_shards, progress=lambda message: None
        )
    description.write_description(dataset_dir, DESCRIPTION)


def _write_images(folder: str) -> dict[str, list[ImageFile]]:
    """JPEG files in class folders below `folder`; a fixed split, classes in proportion."""
    try:
        from sklearn.datasets import load_digits  # imported here, as only the first run needs it
    except ImportError as error:
        raise DataError(
            f'The sample of digits comes with scikit-learn, which cannot be imported ({error}). '
            'Install it with: pip install scikit-learn'
        ) from error
    digits = load_digits()
    by_class = sorted(range(len(digits.target)), key=lambda number: (digits.target[number], number))
    splits: dict[str, list[ImageFile]] = {split_name: [] for split_name in DESCRIPTION.splits}
    for place, number in enumerate(by_class):
        # Every fifth of each class, in the order of the collection, so that each writer is in both.
        split_name = 'validation' if place % 5 == 0 else 'train'
        label = int(digits.target[number])
        class_dir = os.path.join(folder, split_name, str(label))
        os.makedirs(class_dir, exist_ok=True)
        path = os.path.join(class_dir, f'{number:04d}.jpg')
        gray = (digits.images[number] * (255 / _MAX_GRAY)).round().astype('uint8')
        picture = Image.fromarray(gray).resize((_IMAGE_SIZE, _IMAGE_SIZE), Image.Resampling.BICUBIC)
        picture.save(path, quality=_JPEG_QUALITY)
        splits[split_name].append(ImageFile(path, label, text=str(label)))
    return splits


def _is_whole(dataset_dir: str) -> bool:
    """Whether the numbers of records and image files in `dataset_dir` are those of a whole set."""
    try:
        if description.read_description(dataset_dir) != DESCRIPTION:
            return False
        for split_name, split in DESCRIPTION.splits.items():
            files = record_files.find_record_files(dataset_dir, split_name)
            images = os.path.join(dataset_dir, _IMAGES, split_name)
            num_images = sum(len(names) for _, _, names in os.walk(images))
            num_records = sum(map(record_files.count_records, files))
            if not split.num_samples == num_images == num_records:
                return False
    except DataError:
        return False
    return True


@contextlib.contextmanager
def _lock(path: str) -> Iterator[None]:
    """Holds the file `path` locked; the system unlocks it however the process ends."""
    with open(path, 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
