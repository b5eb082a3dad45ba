"""What a run leaves for its user: lines and a bar, history.json, TensorBoard, a curve as PNG."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from runtime import folders
from runtime.training import event_file, monitor
from slim import errors

HISTORY_FILE, PLOT_FILE = 'history.json', 'history.png'
# TensorBoard's tags and folders are those of Keras' callback.
_TAGS = {
    'train': {'loss': 'epoch_loss', 'accuracy': 'epoch_accuracy', 'lr': 'epoch_learning_rate'},
    'validation': {'val_loss': 'epoch_loss', 'val_accuracy': 'epoch_accuracy'},
}
_BATCHES_PER_SUMMARY = 100
_SECONDS_PER_LOOK = 0.25  # at the sums, for the bar
_LIMIT = 20_000_000  # bytes


class Record:
    """Of one run, on rank 0; `history` is Keras' object, with the epochs before a resume."""

    def __init__(self, folder: str, epochs: int, steps: int, finished_epochs: int) -> None:
        self._folder, self._epochs, self._steps = folder, epochs, steps
        self.history = tf_keras.callbacks.History()
        self.history.params = {'epochs': epochs, 'steps': steps, 'verbose': 1}
        self.history.history, self.history.epoch = _earlier(folder, finished_epochs)
        self._events: dict[str, event_file.EventFile] = {}
        self._bar: Any = None
        self._looked = 0.0

    def begin_epoch(self, epoch: int) -> None:
        """`epoch` counts from 0."""
        monitor.say(f'Epoch {epoch + 1}/{self._epochs}')
        if sys.stdout.isatty():
            self._bar = tf_keras.utils.Progbar(
                self._steps, stateful_metrics=['loss', 'accuracy'], unit_name='step'
            )

    def wants_sums(self, step: int) -> bool:
        """Whether `after_step` has a use for the epoch's sums after this global step."""
        due = time.monotonic() - self._looked >= _SECONDS_PER_LOOK
        return step % _BATCHES_PER_SUMMARY == 0 or (due and self._bar is not None)

    def after_step(self, step: int, step_of_epoch: int, loss: float, accuracy: float) -> None:
        self._looked = time.monotonic()
        if self._bar is not None and step_of_epoch < self._steps:
            self._bar.update(step_of_epoch, [('loss', loss), ('accuracy', accuracy)])
        if step % _BATCHES_PER_SUMMARY == 0:
            self._write('train', {'batch_loss': loss, 'batch_accuracy': accuracy}, step)

    def end_epoch(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """`values`: by Keras' names; shown, and put into every record."""
        if self._bar is not None:
            shown = [(name, value) for name, value in values.items() if name != 'lr']
            self._bar.update(self._steps, shown, finalize=True)
            self._bar = None
        else:
            numbers = ' - '.join(f'{name}: {value:.4g}' for name, value in values.items())
            per_step = seconds / max(1, self._steps)
            monitor.say(
                f'{self._steps}/{self._steps} - {seconds:.0f}s - {per_step:.3g}s/step - {numbers}'
            )
        history = self.history.history
        for name, value in values.items():
            history.setdefault(name, []).append(value)
        self.history.epoch.append(epoch)
        content = {'epoch': [number + 1 for number in self.history.epoch], **history}
        folders.write_text(
            os.path.join(self._folder, HISTORY_FILE), json.dumps(_plain(content), indent=1) + '\n'
        )
        for part, tags in _TAGS.items():
            named = {tag: values[name] for name, tag in tags.items() if name in values}
            if named:
                self._write(part, named, epoch)

    def close(self) -> None:
        for events in self._events.values():
            events.close()

    def _write(self, part: str, tags: Mapping[str, float], step: int) -> None:
        if part not in self._events:
            folder = os.path.join(self._folder, part)
            folders.make_folder(folder, 'model_dir')
            self._events[part] = event_file.EventFile(folder)
        monitor.write_scalars(self._events[part], tags, step)


def check_plot() -> None:
    """UsageError where matplotlib is missing."""
    if importlib.util.find_spec('matplotlib') is None:
        raise errors.UsageError(
            "--plot: matplotlib is not installed; it is the extra plot: pip install '.[plot]'"
        )


def plot(folder: str, history: Mapping[str, list[float]], epochs: list[int]) -> str:
    """Draws loss and accuracy over the epochs into history.png; returns its path."""
    figure_module = importlib.import_module('matplotlib.figure')
    figure = figure_module.Figure(figsize=(9, 3.5), layout='constrained')
    for place, name in enumerate(('loss', 'accuracy'), 1):
        axes = figure.add_subplot(1, 2, place)
        for key, label in ((name, 'training'), (f'val_{name}', 'evaluation')):
            if history.get(key):
                axes.plot([epoch + 1 for epoch in epochs], history[key], label=label)
        axes.set_xlabel('epoch')
        axes.locator_params(axis='x', integer=True)
        axes.set_ylabel(name)
        axes.legend()
    path = os.path.join(folder, PLOT_FILE)
    try:
        figure.savefig(path)
    except OSError as error:
        raise folders.cannot_write(path, error) from error
    return path


def _earlier(folder: str, epochs: int) -> tuple[dict[str, list[float]], list[int]]:
    """History and epochs (from 0) of the first `epochs` in history.json; none where it has gone."""
    path = os.path.join(folder, HISTORY_FILE)
    if not epochs:
        return {}, []
    with contextlib.suppress(tf.errors.OpError, OSError, ValueError, TypeError, RecursionError):
        content = json.loads(folders.read_text(path, _LIMIT))
        done = [int(number) - 1 for number in content.pop('epoch')][:epochs]
        history = {
            str(name): [math.nan if value is None else float(value) for value in values[:epochs]]
            for name, values in content.items()
        }
        if done == list(range(epochs)) and all(len(v) == epochs for v in history.values()):
            return history, done
    monitor.say(f'warning: {path} does not hold the first {epochs} epochs; it begins anew')
    return {}, []


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
