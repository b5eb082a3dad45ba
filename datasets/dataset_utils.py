"""TF-Slim's helpers for writing records: features, label files, downloads, sharded output."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import tensorflow as tf

from datasets.conversion import archives, downloads
from datasets.conversion.downloads import RemoteFile
from datasets.records import atomic_files, example_format, label_file

LABELS_FILENAME = label_file.FILE_NAME


def int64_feature(values: int | Iterable[int]) -> tf.train.Feature:
    """A feature of one integer or several."""
    return tf.train.Feature(int64_list=tf.train.Int64List(value=_as_list(values)))


def bytes_list_feature(values: str | bytes | Iterable[bytes]) -> tf.train.Feature:
    """A feature of one string of bytes or several; text is encoded as UTF-8."""
    return tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[_as_bytes(value) for value in _as_list(values)])
    )


def float_list_feature(values: float | Iterable[float]) -> tf.train.Feature:
    """A feature of one float32 or several."""
    return tf.train.Feature(float_list=tf.train.FloatList(value=_as_list(values)))


def bytes_feature(values: str | bytes) -> tf.train.Feature:
    """A feature of one string of bytes; text is encoded as UTF-8."""
    return bytes_list_feature(values)


def float_feature(values: float | Iterable[float]) -> tf.train.Feature:
    """A feature of one float32 or several."""
    return float_list_feature(values)


def image_to_tfexample(
    image_data: bytes, image_format: str | bytes, height: int, width: int, class_id: int
) -> tf.train.Example:
    """The smallest record of an image file: contents, format ('png', 'jpg'), pixels and class."""
    feature = {
        example_format.ENCODED: bytes_feature(image_data),
        example_format.FORMAT: bytes_feature(image_format),
        example_format.LABEL: int64_feature(class_id),
        example_format.HEIGHT: int64_feature(height),
        example_format.WIDTH: int64_feature(width),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature))


def download_url(url: str, dataset_dir: str, checksum: str | None = None) -> str:
    """Downloads a file into `dataset_dir` and returns its path; see `downloads.download`.

    `checksum` is 'md5:HEX' or 'sha256:HEX'. What an earlier start has received is not asked for
    again.
    """
    return downloads.download(RemoteFile(url, checksum), dataset_dir)


def download_and_uncompress_tarball(
    tarball_url: str, dataset_dir: str, checksum: str | None = None
) -> None:
    """Downloads a .tar, .tar.gz or .tgz and unpacks it into `dataset_dir`; the archive stays."""
    archives.extract(download_url(tarball_url, dataset_dir, checksum), dataset_dir)


def download_and_uncompress_zipfile(
    zip_url: str, dataset_dir: str, checksum: str | None = None
) -> None:
    """Downloads a .zip and unpacks it into `dataset_dir`; the archive stays."""
    archives.extract(download_url(zip_url, dataset_dir, checksum), dataset_dir)


def write_label_file(
    labels_to_class_names: Mapping[int, str], dataset_dir: str, filename: str = LABELS_FILENAME
) -> None:
    """Writes lines `label:name`, in the mapping's order."""
    label_file.write(labels_to_class_names, dataset_dir, filename)


def has_labels(dataset_dir: str, filename: str = LABELS_FILENAME) -> bool:
    """Whether there is a label file."""
    return label_file.exists(dataset_dir, filename)


def read_label_file(dataset_dir: str, filename: str = LABELS_FILENAME) -> dict[int, str]:
    """Label to name. DataError names the file and the line that is not `label:name`."""
    return label_file.read(dataset_dir, filename)


def open_sharded_output_tfrecords(
    exit_stack: contextlib.ExitStack, base_path: str, num_shards: int
) -> list[tf.io.TFRecordWriter]:
    """Writers of BASE-00000-of-N and its sisters, which the stack closes.

    The files get their names when the stack ends without an error; otherwise nothing is left.
    """
    names = [f'{base_path}-{index:05d}-of-{num_shards:05d}' for index in range(num_shards)]
    return exit_stack.enter_context(_record_writers(names))


@contextlib.contextmanager
def _record_writers(paths: Sequence[str]) -> Iterator[list[tf.io.TFRecordWriter]]:
    # All are closed before the first one is renamed: the inner stack ends first.
    with contextlib.ExitStack() as names, contextlib.ExitStack() as open_writers:
        writers = []
        for path in paths:
            temporary = names.enter_context(atomic_files.new_file(path))
            with atomic_files.writing(path):
                writers.append(open_writers.enter_context(tf.io.TFRecordWriter(temporary)))
        yield writers


def _as_list(values):
    scalar = isinstance(values, (str, bytes)) or not isinstance(values, Iterable)
    return [values] if scalar else list(values)


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
