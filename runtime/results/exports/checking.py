"""Exports that are compared with their checkpoint before they get their name.

Each file is written as NAME.unchecked, loaded and run in a fresh process, and renamed where it says
what the checkpoint says. What was measured goes into `export.json` beside it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime import folders
from runtime.results.exports import fresh_process
from runtime.results.exports.forms import model
from runtime.results.exports.forms.table import FORMS, TOLERANCES, Target
from slim import errors

UNCHECKED = '.unchecked'
_ROOT = Path(__file__).resolve().parents[3]


class DifferenceError(errors.SuiteError):
    """An exported file that does not say what its checkpoint says."""


def compared(got: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """The largest difference, as a share of the largest expected value; agreement of top-1."""
    if got.shape != expected.shape:
        return {'difference': float('inf'), 'largest_difference': float('inf'), 'top1': 0.0}
    rows = len(got)
    largest = float(np.abs(got - expected).max())
    if not np.isfinite(largest):
        largest = float('inf')
    same = got.reshape(rows, -1).argmax(-1) == expected.reshape(rows, -1).argmax(-1)
    return {
        'difference': largest / max(float(np.abs(expected).max()), 1e-30),
        'largest_difference': largest,
        'top1': float(same.mean()),
    }


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How answers are compared, and how that is told."""

    # What a file says and what the checkpoint says, to `difference`, the `share` and more.
    measure: Callable[[np.ndarray, np.ndarray], dict[str, float]] = compared
    unit: str = 'of its largest output'
    share: str = 'top1'
    title: str = 'top-1'


@dataclasses.dataclass(frozen=True)
class Samples:
    """Images to compare on, and what the checkpoint says of them."""

    images: np.ndarray  # as the network takes them
    of_images: np.ndarray  # [n, classes], or what the comparison wants
    files: Sequence[bytes]  # image files; () for a video network
    of_files: np.ndarray
    comparison: Comparison = Comparison()


def check_possible(targets: Sequence[Target]) -> None:
    """UsageError for a package that is not installed, OutputError as of `check_writable`."""
    for form in {target.form for target in targets}:
        for package in FORMS[form].packages:
            FORMS[form].imported().require(package)
    check_writable(targets)


def check_writable(targets: Sequence[Target]) -> None:
    """OutputError for a file that can certainly not be written; creates nothing."""
    for target in targets:
        path = errors.shortened(target.path, 120)
        is_folder = os.path.isdir(target.path)
        if target.form != 'saved_model' and is_folder:
            raise errors.OutputError(f'--output_file={path}: is a folder; give the name of a file')
        if target.form == 'saved_model' and os.path.lexists(target.path):
            is_model = os.path.exists(os.path.join(target.path, 'saved_model.pb'))
            if not is_folder or (os.listdir(target.path) and not is_model):
                raise errors.OutputError(
                    f'--output_file={path}: is there and no SavedModel, so it is not replaced; '
                    'give another name'
                )
        folders.check_writable(os.path.dirname(target.path), 'output_file')


def write(
    targets: Sequence[Target], source: Any, samples: Samples, tolerance: float | None
) -> list[dict[str, Any]]:
    """Writes, checks and names the files; returns what `export.json` says of each.

    Raises:
      DifferenceError: a file differs more than its tolerance or does not load. It stays as
        NAME.unchecked; the others have their names.
      source.UnsupportedError, UsageError, OutputError: nothing is left.
    """
    for target in targets:
        folder = os.path.dirname(target.path)
        if folder:
            folders.make_folder(folder, 'output_file')
    with _removed_on_failure([target.path + UNCHECKED for target in targets]):
        for target in targets:
            _write(target, source)
        checks = _checks(targets, source)
        answers, outputs = _in_fresh_process(checks, samples)
    entries, failures = [], []
    for target in targets:
        mine = [index for index, (other, _) in enumerate(checks) if other is target]
        entry, failure = _entry(
            target,
            [(checks[i][1], answers[i], outputs.get(str(i))) for i in mine],
            samples,
            tolerance,
        )
        entries.append(entry)
        if failure:
            failures.append(
                f'{errors.shortened(target.path + UNCHECKED, 100)} ({target.shown}) {failure}'
            )
        else:
            _rename(target.path)
            _report(target.path, {**entry, 'about': _about(target, source)})
    if failures:
        raise DifferenceError(f'{"; ".join(failures)}. It stays under that name')
    return entries


def _write(target: Target, source: Any) -> None:
    path = target.path + UNCHECKED
    _remove(path)
    try:
        FORMS[target.form].imported().write(source, path, target.quantization)
    except OSError as error:
        if isinstance(error, errors.SuiteError):
            raise
        raise folders.cannot_write(path, error) from error


def _checks(targets: Sequence[Target], source: Any) -> list[tuple[Target, str]]:
    """Each file with each kind of input that it takes."""
    found = []
    for target in targets:
        kinds = [model.IMAGES]
        if not source.is_video:
            if target.form == 'saved_model':
                kinds.append(model.IMAGE_BYTES)
            elif target.form == 'graphdef' and source.chosen.include_preprocessing:
                kinds = [model.IMAGE_BYTES]
        found += [(target, kind) for kind in kinds]
    return found


def _in_fresh_process(
    checks: Sequence[tuple[Target, str]], samples: Samples
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    with tempfile.TemporaryDirectory(prefix='tf-slim-export-') as folder:
        jobs = [
            {'path': os.path.abspath(target.path + UNCHECKED), 'takes': kind}
            for target, kind in checks
        ]
        Path(folder, 'job.json').write_text(json.dumps(jobs), encoding='utf-8')
        packed = fresh_process.pack_bytes(samples.files)
        np.savez(os.path.join(folder, 'inputs.npz'), images=samples.images, **packed)
        environment = {
            **os.environ,
            'TF_CPP_MIN_LOG_LEVEL': '3',
            'CUDA_VISIBLE_DEVICES': '-1',
            'PYTHONPATH': os.pathsep.join(
                filter(None, [str(_ROOT), os.environ.get('PYTHONPATH', '')])
            ),
        }
        command = [sys.executable, '-m', 'runtime.results.exports.fresh_process', folder]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors='replace'
        )
        result = Path(folder, 'result.json')
        if done.returncode or not result.exists():
            words = (done.stderr.strip().splitlines() or ['no word'])[-1]
            raise errors.SuiteError(
                'The process that loads the exported files back ended with code '
                f'{done.returncode}: {errors.shortened(words, 120)}'
            )
        with np.load(os.path.join(folder, 'outputs.npz')) as outputs:
            return json.loads(result.read_text(encoding='utf-8')), dict(outputs)


def _entry(
    target: Target,
    answers: Sequence[tuple[str, dict[str, Any], np.ndarray | None]],
    samples: Samples,
    tolerance: float | None,
) -> tuple[dict[str, Any], str]:
    """What is told of a file, and what is wrong with it or ''."""
    limit = TOLERANCES[target.quantization] if tolerance is None else tolerance
    entry: dict[str, Any] = {
        'format': target.form,
        'quantization': target.quantization,
        'size_bytes': _size(target.path + UNCHECKED),
        'images': len(samples.images),
        'tolerance': limit,
        'inputs': {},
    }
    failure = ''
    for kind, answer, got in answers:
        expected = samples.of_files if kind == model.IMAGE_BYTES else samples.of_images
        if got is None:
            failure = f'does not run: {errors.shortened(answer["error"], 120)}'
            continue
        facts = {**samples.comparison.measure(got, expected), **answer}
        entry['inputs'][kind] = facts
        if not facts['difference'] <= limit:
            failure = (
                f'differs from the checkpoint by {facts["difference"]:.3g} '
                f'{samples.comparison.unit} for {kind}, and the tolerance is {limit:g}'
            )
    return entry, failure


def _about(target: Target, source: Any) -> Any:
    has_pixels = target.form in ('tflite', 'onnx')
    return json.loads((source.about_pixels() if has_pixels else source.about).to_json())


def _report(path: str, entry: dict[str, Any]) -> None:
    """Puts a file's entry into the `export.json` of its folder."""
    folder, name = os.path.split(os.path.abspath(path))
    files = {**model.read_report(folder), name: entry}
    content = {'kind': 'tf-slim-suite exports 1', 'files': dict(sorted(files.items()))}
    folders.write_text(
        os.path.join(folder, model.REPORT_NAME),
        json.dumps(content, indent=1, ensure_ascii=False) + '\n',
    )


def _rename(path: str) -> None:
    """Puts the checked file, or folder, in the place of what has its name."""
    unchecked, old = path + UNCHECKED, f'{path}.replaced.{os.getpid()}'
    try:
        if os.path.isdir(path):
            os.rename(path, old)
        os.replace(unchecked, path)
    except OSError as error:
        raise folders.cannot_write(path, error) from error
    _remove(old)


@contextlib.contextmanager
def _removed_on_failure(paths: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for path in paths:
            _remove(path)
        raise


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)


def _size(path: str) -> int:
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
    )


def shown(
    targets: Sequence[Target], entries: Sequence[dict[str, Any]], comparison: Comparison
) -> list[str]:
    """A table of what was measured, a line for each way into each file."""
    head = f'form                       size MB  difference  {comparison.title:<6}  ms at batch 1'
    lines = [f'{head}  file']
    for target, entry in zip(targets, entries, strict=True):
        for kind, facts in entry['inputs'].items():
            name = target.shown if kind == model.IMAGES else f'{target.shown} ({kind})'
            lines.append(
                f'{name:<26} {entry["size_bytes"] / 1e6:7.2f}  {facts["difference"]:10.2e}'
                f'  {facts[comparison.share]:6.1%}  {facts["latency_ms"]:13.2f}'
                f'  {errors.printable(target.path)}'
            )
    return lines
