"""Writes a set of records into a folder: all of it, or nothing that looks like it.

Files are made in a hidden folder and moved out when all of them are finished; dataset.json comes
last. What a process that was killed has left is removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import itertools
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

import tensorflow as tf

from datasets.conversion.progress_bar import Progress, tell
from datasets.records import atomic_files, description, label_file, record_files
from datasets.records.description import Description, Split
from datasets.records.record_writer import shard_ranges
from slim.errors import OutputError

_WORKPLACE = '.conversion'
_LOCK = '.conversion.lock'
_MESSAGES_PER_SPLIT = 10


@dataclass(frozen=True)
class Workplace:
    """Folders inside the hidden one: for the finished record files, and for what is unpacked."""

    records: str
    unpacked: str


def check_output(dataset_dir: str, patterns: Collection[str]) -> None:
    """OutputError when the folder holds a finished set, or record files that nobody described.

    `patterns` match the names that are going to be written.
    """
    finished = os.path.join(dataset_dir, description.FILE_NAME)
    if os.path.exists(finished):
        raise OutputError(
            f'{finished} says that this set is finished. Use it, or give an empty folder with '
            '--dataset_dir.'
        )
    if not os.path.isdir(dataset_dir):
        return
    records = _matching(dataset_dir, patterns)
    # With the hidden folder they are of a run that was killed while it moved them out.
    if records and not os.path.isdir(os.path.join(dataset_dir, _WORKPLACE)):
        raise OutputError(
            f'{dataset_dir} holds records already: {record_files.listed(records)}. Use them, or '
            'give an empty folder with --dataset_dir.'
        )


def write_set(
    dataset_dir: str, patterns: Collection[str], write: Callable[[Workplace], Description]
) -> Description:
    """Has `write` make the record files, then publishes them with labels.txt and dataset.json.

    Raises OutputError where `check_output` does, where another process writes into the folder or
    where it cannot be written. Whatever happens, the folder is then as it was before.
    """
    with _new_folders(dataset_dir), _lock(dataset_dir):
        check_output(dataset_dir, patterns)
        root = os.path.join(dataset_dir, _WORKPLACE)
        place = Workplace(os.path.join(root, 'records'), os.path.join(root, 'unpacked'))
        try:
            with atomic_files.writing(dataset_dir):
                for folder in (place.records, place.unpacked):
                    shutil.rmtree(folder, ignore_errors=True)
                    os.makedirs(folder)
            about = write(place)
            if about.label_names is not None:
                label_file.write(dict(enumerate(about.label_names)), place.records)
            _publish(place.records, dataset_dir, patterns, about)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    return about


def _publish(folder: str, dataset_dir: str, patterns: Collection[str], about: Description) -> None:
    """Moves all files of `folder` to `dataset_dir` and completes the set, or takes them away."""
    names = sorted(os.listdir(folder))
    try:
        with atomic_files.writing(dataset_dir):
            for name in _matching(dataset_dir, patterns):
                os.unlink(os.path.join(dataset_dir, name))  # of a run that was killed
            for name in names:
                os.replace(os.path.join(folder, name), os.path.join(dataset_dir, name))
            atomic_files.sync(dataset_dir)
        description.write_description(dataset_dir, about)
    except BaseException:
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(dataset_dir, name))
        raise


def _matching(folder: str, patterns: Collection[str]) -> list[str]:
    names = os.listdir(folder)
    return [name for name in names if any(fnmatch.fnmatchcase(name, p) for p in patterns)]


def write_shards(
    folder: str,
    split_name: str,
    pattern: str,
    num_shards: int,
    examples: Iterable[tf.train.Example],
    num_samples: int,
    progress: Progress = tell,
) -> Split:
    """Writes a split's records, in their order, into `folder`, whose files nobody reads yet.

    `pattern` makes the files' names: '{0}' is replaced by the number of the file and '{1}' by that
    of all files, '{0:05d}-of-{1:05d}'. With fewer records than shards there are as many shards as
    records.
    """
    ranges = shard_ranges(num_samples, num_shards)
    waiting = iter(examples)
    written = 0
    for index, positions in enumerate(ranges):
        path = os.path.join(folder, pattern.format(index, len(ranges)))
        with contextlib.ExitStack() as stack:
            with atomic_files.writing(path):
                writer = tf.io.TFRecordWriter(path)
                stack.callback(writer.close)
            for example in itertools.islice(waiting, len(positions)):
                with atomic_files.writing(path):
                    writer.write(example.SerializeToString(deterministic=True))
                written += 1
            with atomic_files.writing(path):
                writer.close()
                atomic_files.sync(path)
        if (index + 1) * _MESSAGES_PER_SPLIT // len(ranges) > (
            index * _MESSAGES_PER_SPLIT // len(ranges)
        ):
            progress(
                f'{split_name}: {written}/{num_samples} images, {index + 1}/{len(ranges)} files'
            )
    assert written == num_samples, f'{split_name}: {written} records, announced {num_samples}'
    is_numbered = '{' in pattern
    return Split(num_samples, len(ranges) if is_numbered else None)


@contextlib.contextmanager
def _new_folders(folder: str) -> Iterator[None]:
    """Makes `folder` and removes it again, with the parents that it made, where it stays empty."""
    made = []
    parent = os.path.abspath(folder)
    while not os.path.lexists(parent):
        made.append(parent)
        parent = os.path.dirname(parent)
    with atomic_files.writing(folder):
        os.makedirs(folder, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty: the conversion went well
            for path in made:
                os.rmdir(path)


@contextlib.contextmanager
def _lock(dataset_dir: str) -> Iterator[None]:
    """Keeps other processes out of the folder; the system unlocks it however this one ends."""
    path = os.path.join(dataset_dir, _LOCK)
    with contextlib.ExitStack() as stack:
        while True:
            with atomic_files.writing(dataset_dir):
                file = stack.enter_context(open(path, 'w'))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutputError(f'Another process is writing into {dataset_dir}.') from error
            # The process that held it may have removed the file in between.
            if os.path.exists(path) and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                break
        stack.callback(os.unlink, path)
        yield
