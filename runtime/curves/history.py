"""What a run has written into metrics.jsonl, as one history. No TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from slim import errors

METRICS_FILE = 'metrics.jsonl'
_RUN_FILE = 'run.json'
# A folder may come from a stranger.
_LONGEST_LINE, _LARGEST_RUN_FILE = 1_000_000, 4_000_000
VALIDATION = 'validation'  # the `kind` of a row


@dataclasses.dataclass(frozen=True)
class Run:
    """The rows of a run, in the order of the steps; each is a line of metrics.jsonl."""

    folder: str
    steps: Sequence[Mapping[str, Any]]
    validations: Sequence[Mapping[str, Any]]
    about: Mapping[str, str]  # network and data set, as far as run.json says
    name: str = ''  # in a legend


def read(folder: str) -> Run:
    """The run in a folder.

    Raises DataError where it has no metrics or they are damaged, with file and line.
    """
    if not os.path.isdir(folder):
        raise errors.DataError(f'{folder} is no folder: give the --train_dir of a run')
    path = os.path.join(folder, METRICS_FILE)
    if not os.path.exists(path):
        raise errors.DataError(f'{folder} has no {METRICS_FILE}: give the --train_dir of a run')
    try:
        run = parse(_lines(path), path)
    except OSError as error:
        raise errors.DataError(f'{path} cannot be read: {error.strerror}') from error
    return dataclasses.replace(run, folder=folder, about=_about(folder))


def parse(lines: Iterable[str], path: str, lenient: bool = False) -> Run:
    """The run of the lines of metrics.jsonl; `path` is for errors, as `read` raises them.

    A resumed run has rows of the steps since its checkpoint twice: the later ones count. A last
    line without an end is that of a run that was killed while it wrote. `lenient` passes over what
    is damaged.
    """
    rows: list[Mapping[str, Any]] = []
    last: dict[bool, int] = {}  # step, by whether it is of a validation
    for number, line in enumerate(lines, 1):
        row = _row(line)
        if row is None:
            if lenient or not line.strip() or not line.endswith('\n'):
                continue
            raise errors.DataError(
                f'{path}, line {number}: is no JSON object with a step; mend or remove the line'
            )
        kind = _is_validation(row)
        if row['step'] <= last.get(kind, -1):
            rows = [other for other in rows if not _outdated(other, row)]
        last[kind] = row['step']
        rows.append(row)
    steps = [row for row in rows if not _is_validation(row)]
    return Run('', steps, [row for row in rows if _is_validation(row)], {})


def value(row: Mapping[str, Any], key: str) -> float:
    """A number of a row; NaN where there is none."""
    found = row.get(key)
    return float(found) if isinstance(found, (int, float)) and found is not True else math.nan


def seconds(run: Run) -> list[float]:
    """How long the steps until each row of `run.steps` took, without stops and validations."""
    passed, step, times = 0.0, 0, []
    for row in run.steps:
        rate = value(row, 'sec_per_step')
        passed += (row['step'] - step) * rate if math.isfinite(rate) else 0.0
        step = row['step']
        times.append(passed)
    return times


def named(runs: Sequence[Run]) -> list[Run]:
    """The same with the ends of their paths that tell them apart as names."""
    parts = [os.path.abspath(run.folder).split(os.sep) for run in runs]
    longest = max(map(len, parts), default=1)
    for length in range(1, longest + 1):
        names = ['/'.join(part[-length:]) for part in parts]
        if len(set(names)) == len({tuple(part) for part in parts}):
            break
    return [dataclasses.replace(run, name=name) for run, name in zip(runs, names, strict=True)]


def difference(runs: Sequence[Run]) -> str:
    """What makes the runs hard to compare, in a line; '' for nothing."""
    kinds = {
        'network': [run.about.get('network', '') for run in runs],
        'data set': [run.about.get('data set', '') for run in runs],
        'last step': [str(run.steps[-1]['step']) if run.steps else '' for run in runs],
    }
    parts = [
        f'{kind} {", ".join(found)}'
        for kind, values in kinds.items()
        if len(found := list(dict.fromkeys(filter(None, values)))) > 1
    ]
    return f'the runs differ: {"; ".join(parts)}' if parts else ''


def _row(line: str) -> Mapping[str, Any] | None:
    """None for what is no row."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_row = isinstance(row, dict) and type(row.get('step')) is int and row['step'] >= 0
    return row if is_row else None


def _is_validation(row: Mapping[str, Any]) -> bool:
    return row.get('kind') == VALIDATION


def _outdated(row: Mapping[str, Any], by: Mapping[str, Any]) -> bool:
    """Whether the run went back behind this row, before it wrote `by`."""
    if _is_validation(row) == _is_validation(by):
        return row['step'] >= by['step']
    return row['step'] > by['step']


def _lines(path: str) -> Iterator[str]:
    # A pipe would be waited for: it opens without, and is no plain file.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, encoding='utf-8', errors='replace') as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise errors.DataError(f'{path} is no plain file')
        while line := file.readline(_LONGEST_LINE):
            yield line if len(line) < _LONGEST_LINE else 'too long\n'


def _about(folder: str) -> dict[str, str]:
    """Network and data set, where run.json says them; it is not needed for anything else."""
    try:
        path = os.path.join(folder, _RUN_FILE)
        if os.path.getsize(path) > _LARGEST_RUN_FILE or not os.path.isfile(path):
            return {}
        with open(path, encoding='utf-8', errors='replace') as file:
            start = json.load(file)['starts'][-1]
        told = {'network': start['flags']['model_name'], 'data set': start['dataset']['name']}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    return {kind: errors.shortened(name, 60) for kind, name in told.items()}
