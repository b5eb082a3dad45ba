"""Checks a folder of TFRecords: every record is read.

python3 verify_dataset.py --dataset_dir=/data/imagenet

Looks at checksums, also where a file was cut off, keys, labels, whether the image decodes, missing
and empty files, the counts of dataset.json, and images that are in two splits. Prints a table per
split and class, and each thing that is wrong with file and record number (counted from 0).

Exit codes: 0 all is well, 1 failure, 2 wrong command line, 3 something is wrong with the data.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from absl import flags

from runtime import app, startup
from runtime.flags import define_path
from slim.errors import DataError, UsageError, printable

if TYPE_CHECKING:
    from datasets.conversion.verification import Findings

_DATASET_DIR = define_path('dataset_dir', 'Folder of the TFRecord files.')
_DATASET_NAME = flags.DEFINE_string(
    'dataset_name',
    None,
    'The data set, for the names of its files. Not given: the name in dataset.json, or imagenet.',
)
_FILE_PATTERN = flags.DEFINE_string(
    'file_pattern',
    None,
    'Shell pattern of the names of the files, in which %s stands for the split. Not given: '
    'those of the data set.',
)
_DECODE = flags.DEFINE_bool(
    'decode', True, 'Decode the pixels, which takes some ten times as long as the rest.'
)
_DUPLICATES = flags.DEFINE_enum(
    'duplicates', 'fail', ['fail', 'allow'], 'Whether an image may be in two splits.'
)
_NUM_WORKERS = flags.DEFINE_integer(
    'num_workers', None, 'Processes; all cores where it is not given.', lower_bound=1
)
_MAX_ERRORS = flags.DEFINE_integer('max_errors', 100, 'Errors to print.', lower_bound=1)


def main() -> int:
    """Reads the flags, checks and prints; returns the exit code."""
    if not _DATASET_DIR.value:
        raise UsageError('--dataset_dir is missing: give the folder of the TFRecord files')

    startup.import_tensorflow_quietly()
    from datasets.conversion import verification, worker_pool

    findings = verification.verify(
        _DATASET_DIR.value,
        _DATASET_NAME.value,
        _FILE_PATTERN.value,
        _DECODE.value,
        _DUPLICATES.value == 'allow',
        _NUM_WORKERS.value or worker_pool.available_cores(),
    )
    print_tables(findings)
    for problem in findings.problems[: _MAX_ERRORS.value]:
        print(printable(str(problem)), file=sys.stderr)
    if findings.num_problems:
        raise DataError(
            f'{_DATASET_DIR.value} has {findings.num_problems} errors'
            f'{"" if findings.num_problems <= _MAX_ERRORS.value else ", the first are above"}'
        )
    print('all is well')
    return 0


def print_tables(findings: Findings) -> None:
    """Records and bytes by split, then records by class and split."""
    splits = findings.splits
    print(f'{"split":16} {"files":>7} {"records":>9} {"expected":>9} {"repeated":>9} {"MB":>9}')
    for name, split in splits.items():
        print(
            f'{name:16} {len(split.files):7} {split.num_records:9} {split.expected:9} '
            f'{split.num_repeated:9} {split.num_bytes / 1e6:9,.0f}'
        )
    print()
    print(f'{"label":>6} ' + ' '.join(f'{name:>10}' for name in splits) + '  name')
    names = findings.class_names()
    for label in range(int(findings.description.has_background), findings.description.num_classes):
        counts = ' '.join(f'{split.labels[label]:10}' for split in splits.values())
        print(f'{label:6} {counts}  {names.get(label, "")}')


if __name__ == '__main__':
    app.run(main)
