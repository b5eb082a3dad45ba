"""Reads every record of a folder and says what is wrong with it.

Per file: lengths and checksums, the keys that training needs, the range of the label, the image
(its header, and unless that is left out its pixels). Per split: missing and empty files, and the
number of records that dataset.json gives. Of pictures with objects the labels are those of the
boxes. Across splits: the same image in two of them. No TensorFlow in the processes that read.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from datasets import dataset_factory, kitti
from datasets.conversion import worker_pool
from datasets.conversion.progress_bar import Progress, ProgressBar, tell
from datasets.records import description, record_files
from datasets.records.description import Description
from datasets.records.record_checks import HASH_BYTES, FileFacts, FileTask, Problem, check_file
from datasets.records.synsets import synsets_to_names
from slim.errors import DataError, printable


@dataclass
class SplitFacts:
    """What is in the files of a split."""

    files: tuple[str, ...]
    expected: int
    num_records: int = 0
    num_bytes: int = 0
    num_repeated: int = 0  # records whose image is in the split already
    labels: collections.Counter[int] = field(default_factory=collections.Counter)


@dataclass
class Findings:
    """All of a folder."""

    description: Description
    splits: dict[str, SplitFacts]
    problems: list[Problem]  # the first of each file
    num_problems: int

    def class_names(self) -> dict[int, str]:
        """Printable names by label; behind a synset its words: `n01440764 tench, Tinca tinca`."""
        known = synsets_to_names()
        return {
            label: printable(f'{name} {known[name]}' if name in known else name)
            for label, name in (self.description.labels_to_names() or {}).items()
        }

    def add(self, problem: Problem) -> None:
        self.num_problems += 1
        self.problems.append(problem)


def verify(
    dataset_dir: str,
    dataset_name: str | None = None,
    file_pattern: str | None = None,
    decode: bool = True,
    allow_duplicates: bool = False,
    num_workers: int = 1,
    progress: Progress = tell,
) -> Findings:
    """Checks the folder. DataError where it is none or its dataset.json is wrong.

    `dataset_name` gives the names of the files, and the numbers where there is no dataset.json;
    None is the name in dataset.json, or ImageNet. `file_pattern` is that of
    `record_set.get_split`. Without `decode` the pixels are left out, which take some ten times as
    long as the rest. `allow_duplicates` is for sets that were published with the same image in two
    splits.
    """
    record_files.check_dataset_dir(dataset_dir)
    described = description.read_description(dataset_dir)
    has_objects = described is not None and any(
        split.max_boxes is not None for split in described.splits.values()
    )
    if dataset_name is None:
        known = described is not None and described.name in dataset_factory.datasets_map
        dataset_name = described.name if described and known else 'imagenet'
    if file_pattern is None and has_objects:
        file_pattern = kitti.FILE_PATTERN
    about = dataset_factory.get_description(dataset_name, dataset_dir)
    if file_pattern is None:
        module = dataset_factory.datasets_map.get(dataset_name)
        file_pattern = getattr(module, 'FILE_PATTERN', None)
    findings = Findings(about, {}, [], 0)
    for split_name in about.splits:
        _find_files(findings, dataset_dir, split_name, file_pattern)
    labels = range(int(about.has_background), about.num_classes)
    places = [(name, path) for name, split in findings.splits.items() for path in split.files]
    tasks = [FileTask(path, labels, decode, about.splits[name].max_boxes) for name, path in places]
    facts = _read_files(tasks, num_workers, progress)
    for (split_name, path), one in zip(places, facts, strict=True):
        _sum_up(findings, findings.splits[split_name], path, one)
    for split_name, split in findings.splits.items():
        if split.files and split.num_records != split.expected:
            source = f'{about.name} has' if described is None else f'{description.FILE_NAME} says'
            findings.add(
                Problem(
                    os.path.dirname(split.files[0]),
                    None,
                    f'the split {split_name!r} has {split.num_records} records, '
                    f'{source} {split.expected}',
                )
            )
    duplicates = list(_duplicates(places, facts, findings.splits))
    for problem in () if allow_duplicates else duplicates:
        findings.add(problem)
    return findings


def _find_files(
    findings: Findings, dataset_dir: str, split_name: str, file_pattern: str | None
) -> None:
    """Adds the split with its files, and what is wrong with their names."""
    split = findings.description.splits[split_name]
    files: tuple[str, ...] = ()
    try:
        files = record_files.find_record_files(dataset_dir, split_name, file_pattern)
    except DataError as error:
        findings.add(Problem(dataset_dir, None, str(error)))
    findings.splits[split_name] = SplitFacts(files, split.num_samples)
    if not files:
        return
    folder = os.path.dirname(files[0])
    for name in record_files.missing_shards(files):
        findings.add(Problem(folder, None, f'{name} is missing'))
    total = record_files.shard_total(files)
    if total is not None and split.num_shards not in (None, total):
        message = f'{total} shards, but {description.FILE_NAME} says {split.num_shards}'
        findings.add(Problem(folder, None, message))


def _sum_up(findings: Findings, split: SplitFacts, path: str, facts: FileFacts) -> None:
    """Adds a file to its split."""
    split.num_records += facts.num_records
    split.num_bytes += facts.num_bytes
    split.labels += facts.labels
    findings.problems += facts.problems
    findings.num_problems += facts.num_problems
    if not facts.num_records and not facts.num_problems:
        findings.add(Problem(path, None, 'the file has no records'))


def _read_files(
    tasks: Sequence[FileTask], num_workers: int, progress: Callable[[str], object]
) -> list[FileFacts]:
    total = sum(os.path.getsize(task.path) for task in tasks)
    facts: dict[int, FileFacts] = {}
    # Bytes are counted as megabytes for the eye.
    unit, rest = 1_000_000, 0

    with ProgressBar(total // unit, 'MB', progress) as bar:

        def advance(count: int) -> None:
            nonlocal rest
            whole, rest = divmod(rest + count, unit)
            bar.advance(whole)

        with contextlib.closing(
            worker_pool.run(check_file, tasks, num_workers, advance)
        ) as results:
            for number, one in results:
                facts[number] = one
    return [facts[number] for number in range(len(tasks))]


def _duplicates(
    places: Sequence[tuple[str, str]],
    facts: Sequence[FileFacts],
    splits: dict[str, SplitFacts],
) -> Iterator[Problem]:
    """A problem for each image that is in two splits; counts repeated ones within each."""
    nothing = hashlib.blake2b(b'', digest_size=HASH_BYTES).digest()
    hashes = {}
    for split_name, split in splits.items():
        parts = [
            one.hashes for (name, _), one in zip(places, facts, strict=True) if name == split_name
        ]
        every = np.frombuffer(b''.join(parts), np.uint64)
        readable = every != np.frombuffer(nothing, np.uint64)
        split.num_repeated = int(readable.sum()) - len(np.unique(every[readable]))
        hashes[split_name] = np.where(readable, every, 0)
    for first, second in itertools.combinations(splits, 2):
        shared, here, there = np.intersect1d(hashes[first], hashes[second], return_indices=True)
        for one, number, other_number in zip(shared, here, there, strict=True):
            if one:
                path, record = _place(first, int(number), places, facts)
                other_path, other = _place(second, int(other_number), places, facts)
                message = f'the image is also in {first!r}: {path}, record {record}'
                yield Problem(other_path, other, message)


def _place(
    split_name: str,
    number: int,
    places: Sequence[tuple[str, str]],
    facts: Sequence[FileFacts],
) -> tuple[str, int]:
    """File and record of the record `number` of a split."""
    for (name, path), one in zip(places, facts, strict=True):
        if name == split_name:
            if number < one.num_records:
                return path, number
            number -= one.num_records
    raise IndexError(number)
