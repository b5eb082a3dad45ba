"""What all workers must have in common, compared before and during a run.

Workers that differ do not fail: they compute on, each with other weights, and the run does not
converge. So each comparison ends the run, on all workers at once, and names the first difference.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

import slim
from runtime import options
from runtime.checkpoints import averages, best, files, sidecar, starting
from runtime.workers import cluster as cluster_lib
from slim import errors

# Paths and cores may differ from host to host.
_OWN_FLAGS = frozenset({'dataset_dir', 'train_dir', 'num_preprocessing_threads'})


def check_flags(cluster: cluster_lib.Cluster, chosen: Any, images: int) -> None:
    """UsageError where a worker was started with other flags, or found another number of images.

    Args:
      cluster: the workers.
      chosen: the flags, an option class of option classes.
      images: in the split.
    """
    flags = options.values(chosen)
    facts: Mapping[str, Any] = {
        **{f'--{name}': value for name, value in flags.items() if name not in _OWN_FLAGS},
        'The number of images': images,
    }
    first, *others = cluster.gather(facts)
    for rank, other in enumerate(others, 1):
        for name, value in first.items():
            if other.get(name) != value:
                raise errors.UsageError(
                    f'{name} is {value!r} on {_worker(cluster, 0)} and {other.get(name)!r} on '
                    f'{_worker(cluster, rank)}: start all workers alike'
                )


def on_rank_0(cluster: cluster_lib.Cluster, compute: Callable[[], Any]) -> Any:
    """What `compute` returns, called by rank 0 alone; anything that JSON holds.

    An expected failure there is raised by rank 0 and ends the other workers without a word.
    """
    failure: errors.SuiteError | None = None
    outcome: dict[str, Any] = {}
    if cluster.rank == 0:
        try:
            outcome['value'] = compute()
        except errors.SuiteError as error:
            failure, outcome['exit_code'] = error, error.exit_code
    outcome = cluster.gather(outcome)[0]
    if failure:
        raise failure
    if 'exit_code' in outcome:
        raise SystemExit(outcome['exit_code'])
    return outcome['value']


def origin(
    cluster: cluster_lib.Cluster, train_dir: str, fine_tune_from: str | None, strict: bool = False
) -> starting.Origin:
    """`starting.origin`, looked up by rank 0: another host may see another folder."""

    def look_up() -> dict[str, Any]:
        return dataclasses.asdict(starting.origin(train_dir, fine_tune_from, strict))

    return starting.Origin(**on_rank_0(cluster, look_up))


def checkpoint(
    cluster: cluster_lib.Cluster, path: str, ignore_sidecar: bool = False
) -> tuple[str, sidecar.Sidecar | None]:
    """Prefix of the checkpoint that `path` means, and its sidecar, both found by rank 0.

    The sidecar is None where there is none, or it is ignored.
    """

    def look_up() -> tuple[str, dict[str, Any] | None]:
        prefix = files.find(path, 'checkpoint_path')
        about = None if ignore_sidecar else sidecar.read(prefix)
        return prefix, dataclasses.asdict(about) if about else None

    prefix, values = on_rank_0(cluster, look_up)
    if values is None:
        return prefix, None
    names = _as_list(values['label_names'])
    return prefix, sidecar.from_values({**values, 'label_names': names})


def best_validation(
    cluster: cluster_lib.Cluster, chosen: options.Training, step: int
) -> best.Best | None:
    """The best validation of a run that goes on at `step`, read by rank 0; None where there is
    none. A line in the log where there is one that cannot be used."""
    if not chosen.validation.wanted:
        return None
    folder, metric = chosen.run.train_dir, chosen.validation.metric

    def look_up() -> dict[str, Any] | None:
        held, why = best.read(folder, metric, chosen.validation.keep_best is not None)
        if held and not held.at(step):
            why = f'{best.FILE} is of step {held.step}, and this run goes on from step {step}'
        if why:
            print(f'warning: {errors.printable(why)}: the best begins anew', flush=True)
            return None
        held = held.at(step) if held else None
        return dataclasses.asdict(held) if held else None

    values = on_rank_0(cluster, look_up)
    return best.Best(**{**values, 'since': tuple(values['since'])}) if values else None


def _as_list(value: Any) -> list[Any] | None:
    return None if value is None else list(value)


def start(
    cluster: cluster_lib.Cluster, found: starting.Origin, tuning: options.FineTuningOptions
) -> starting.Start:
    """`starting.start` on rank 0; the others load nothing, as they get its values."""
    made: list[starting.Start] = []
    on_rank_0(cluster, lambda: made.append(starting.start(found, tuning)))
    return made[0] if made else starting.Start(saver=None)


class Variables:
    """The global variables of a run, which must be the same on all workers.

    Raises:
      WorkerError: the graphs of the workers have other variables.
    """

    def __init__(self, cluster: cluster_lib.Cluster) -> None:
        self._cluster = cluster
        self.of_many_workers = cluster.size > 1
        variables = tf.global_variables()
        self._names = [variable.op.name for variable in variables]
        shapes = [f'{v.op.name} {v.dtype.name} {v.shape}' for v in variables]
        self._compare([zlib.crc32(shape.encode()) for shape in shapes], 'before the first step')
        self._broadcast = cluster.broadcast(variables)
        # Batch norm of a worker sees its part of the batch, so its moving statistics are its own.
        self._reconcile = cluster.average(_statistics(variables))
        self._reads = [v.read_value() for v in variables] if self.of_many_workers else []

    def make_equal(self, session: tf.Session) -> None:
        """Gives every worker the values of rank 0, before the first step, and compares them."""
        if self.of_many_workers:
            session.run(self._broadcast)
            self._check(session, 'before the first step')

    def _check(self, session: tf.Session, moment: str) -> None:
        values = session.run(self._reads)
        self._compare([zlib.crc32(np.asarray(value).tobytes()) for value in values], moment)

    def reconcile(self, session: tf.Session, moment: str) -> None:
        """Sets moving statistics to their mean over the workers, and compares all variables.

        Args:
          session: the session.
          moment: when, for the error.

        Raises:
          WorkerError: a variable is not bit for bit the same on all workers.
        """
        if self.of_many_workers:
            session.run(self._reconcile)
            self._check(session, moment)

    def _compare(self, checksums: list[int], moment: str) -> None:
        first, *others = self._cluster.gather(checksums)
        for rank, other in enumerate(others, 1):
            if other == first:
                continue
            pairs = zip(self._names, first, other, strict=False)  # The shorter graph ends it.
            name = next((name for name, a, b in pairs if a != b), 'The number of variables')
            raise errors.WorkerError(
                f'{name} differs between {_worker(self._cluster, 0)} and '
                f'{_worker(self._cluster, rank)} {moment}'
            )


def _statistics(variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    """Model variables that no gradient changes, and their moving averages."""
    learned = {variable.op.name for variable in tf.trainable_variables()}
    names = {
        variable.op.name
        for variable in slim.get_model_variables()
        if variable.op.name not in learned and variable.dtype.is_floating
    }
    return [v for v in variables if v.op.name.removesuffix(averages.AVERAGE_SUFFIX) in names]


def _worker(cluster: cluster_lib.Cluster, rank: int) -> str:
    return f'rank {rank} ({cluster.hosts[rank]})'
