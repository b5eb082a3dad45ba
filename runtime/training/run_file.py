"""run.json: with what each start of a run was made, and what a resumed one has changed."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import socket
from collections.abc import Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import folders, startup
from runtime.checkpoints import sidecar
from runtime.devices import devices
from slim import errors

RUN_FILE = 'run.json'
_FORMAT = 1
# Starts that are kept: the first one, and the last ones.
_KEPT_STARTS = 50
_LIMIT = 4_000_000  # bytes
_DESCRIPTION = 'dataset.json'
_DESCRIPTION_LIMIT = 50_000_000
_DEPTH = 20  # of lists and objects; Python writes fewer within each other than it reads
_SHOWN = 60  # characters of a value
# Flags by which neither the graph nor the schedule of a run changes.
_FREE = frozenset(
    {
        # Where things are, how often they are written, and what a resumed run does not look at.
        *('train_dir', 'dataset_dir', 'checkpoint_path', 'checkpoint_exclude_scopes'),
        *('ignore_missing_vars', 'log_every_n_steps', 'save_summaries_secs', 'save_interval_secs'),
        *('save_interval_steps', 'keep_checkpoint_max', 'strict_resume', 'master', 'plot_curves'),
        # How fast the same images come, and how workers are watched.
        *(
            'num_preprocessing_threads',
            'device_prefetch',
            'num_readers',
            'cache',
            'custom_image_op',
            'xla',
            'steps_per_run',
            'recalibrate_batch_norm',
        ),
        *('worker_timeout_secs', 'fusion_threshold_mb', 'fusion_cycle_ms'),
        *('check_workers_every_n_steps', 'use_horovod', 'num_workers'),
        # What is looked at between the steps, and ends the run earlier.
        *('eval_split_name', 'eval_every_epochs', 'eval_every_steps', 'keep_best'),
        'recalibrate_before_eval',
        *('early_stop_patience', 'stop_threshold'),
        *('save_histograms', 'save_sample_images', 'profile_steps'),
    }
)
# The end of a run is where it stops; only these schedules also bend to it.
_BENT_TO_THE_END = ('cosine', 'cosine_annealing', 'cosine_annealing_by_epoch')


def facts(
    flags: Mapping[str, Any],
    runtime: startup.Runtime,
    dataset: Any,
    dataset_dir: str,
    first_step: int,
) -> dict[str, Any]:
    """What a start is made with; everything that JSON holds.

    Args:
      flags: name to value.
      runtime: what the process computes on, and with whom.
      dataset: a `datasets.dataset.Dataset`.
      dataset_dir: its folder.
      first_step: the global step that the run stands at.
    """
    return {
        'started': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'first_step': first_step,
        'host': socket.gethostname(),
        'pid': os.getpid(),
        'device': runtime.device.kind,
        'workers': list(runtime.cluster.hosts),
        'versions': {
            'suite': sidecar.SUITE_VERSION,
            'python': platform.python_version(),
            'tensorflow': tf.version.VERSION,
            'tf-keras': devices.package_version('tf-keras'),
            'numpy': devices.package_version('numpy'),
        },
        'dataset': {
            'name': dataset.name,
            'split': dataset.split_name,
            'num_samples': dataset.num_samples,
            'num_classes': dataset.num_classes,
            'digest': _digest(dataset_dir, dataset.data_sources),
        },
        'flags': dict(flags),
    }


def begin(folder: str, start: Mapping[str, Any]) -> list[str]:
    """Writes a start into the folder's run.json; returns what there is to say about it.

    That is a line for each flag that changes the graph or the schedule of the run and had another
    value at the start before.

    Raises:
      OutputError: the file cannot be written.
    """
    path = os.path.join(folder, RUN_FILE)
    lines = []
    starts: list[dict[str, Any]] = []
    try:
        starts = read(path)
    except errors.DataError as error:
        lines.append(f'{error}: what has changed since cannot be told, and it begins anew')
    if starts and start['first_step'] > 0:
        lines += changes(starts[-1], start)
    kept = [*starts, dict(start)]
    kept = kept[:1] + kept[1:][1 - _KEPT_STARTS :]
    content = {'format': _FORMAT, 'starts': kept}
    folders.write_text(path, json.dumps(content, indent=1) + '\n')
    return lines


def read(path: str) -> list[dict[str, Any]]:
    """The starts in a run.json, the first one first; none where there is no such file.

    Raises:
      DataError: it is something else; one line.
    """
    try:
        if not tf.gfile.Exists(path):
            return []
        content = json.loads(folders.read_text(path, _LIMIT))
        starts = content['starts']
        if _depth(starts) > _DEPTH:
            raise RecursionError
        if not isinstance(starts, list) or not all(_is_start(start) for start in starts):
            raise ValueError('its starts are none')
    except RecursionError:
        raise errors.DataError(f'{path} cannot be read: it is nested too deeply') from None
    except (tf.errors.OpError, OSError, ValueError, LookupError, TypeError) as error:
        why = folders.reason(error)[:100]
        raise errors.DataError(f'{path} cannot be read: {why or type(error).__name__}') from error
    return starts


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line for each difference between two starts that changes the graph or the schedule."""
    old, new = before['flags'], now['flags']
    compared = [(f'--{name}', old.get(name, value), value) for name, value in new.items()]
    free = {f'--{name}' for name in _FREE}
    if new.get('learning_rate_decay_type') not in _BENT_TO_THE_END:
        free.add('--max_number_of_steps')
    for name, value in now['dataset'].items():
        compared.append((f'data set, {name}', before['dataset'].get(name, value), value))
    workers = len(before['workers']), len(now['workers'])
    compared.append(('number of workers', *workers))
    # As JSON has it, in which the old value has been.
    return [
        f'{name} has changed since the start before: {_shown(was)} -> {_shown(value)}'
        for name, was, value in compared
        if name not in free and _shown(was) != _shown(value)
    ]


def _depth(value: Any) -> int:
    """How many lists and objects are within each other."""
    depth, level = 0, [value]
    while level := [part for part in level if isinstance(part, (list, dict))]:
        depth += 1
        level = [
            inner for part in level for inner in (part.values() if isinstance(part, dict) else part)
        ]
    return depth


def _is_start(start: Any) -> bool:
    return (
        isinstance(start, dict)
        and isinstance(start.get('flags'), dict)
        and isinstance(start.get('dataset'), dict)
        and isinstance(start.get('workers'), list)
    )


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'


def _digest(dataset_dir: str, paths: tuple[str, ...]) -> str:
    """Of dataset.json, which is written anew with the records, or else of the files' names and
    sizes."""
    digest = hashlib.sha256()
    try:
        text = folders.read_text(os.path.join(dataset_dir, _DESCRIPTION), _DESCRIPTION_LIMIT)
        digest.update(text.encode())
    except (tf.errors.OpError, OSError, ValueError):
        for path in paths:
            size = tf.gfile.Stat(path).length
            digest.update(f'{os.path.basename(path)} {size}\n'.encode(errors='replace'))
    return digest.hexdigest()[:32]
