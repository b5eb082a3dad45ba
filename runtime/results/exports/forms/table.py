"""The forms by name: module, ending of the file, and what may differ. No TensorFlow."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Sequence
from typing import Any

from slim import errors


@dataclasses.dataclass(frozen=True)
class Form:
    """A row of the table."""

    module: str  # has write(source, path, quantization) and load(path, takes, threads)
    ending: str
    packages: tuple[str, ...] = ()  # of the extra of the form's name

    def imported(self) -> Any:
        return importlib.import_module(self.module)


FORMS = {
    'graphdef': Form('runtime.results.exports.forms.graphdef', '.pb'),
    'saved_model': Form('runtime.results.exports.forms.saved_model', '_saved_model'),
    'tflite': Form('runtime.results.exports.forms.tflite', '.tflite'),
    'onnx': Form('runtime.results.exports.forms.onnx', '.onnx', ('tf2onnx', 'onnx', 'onnxruntime')),
}

# Largest difference to the checkpoint's output, as a share of its largest value. Those of 8 bits
# are bounds on what is broken, not on what is good: agreement of the classes says that.
TOLERANCES = {'none': 1e-4, 'float16': 2e-2, 'dynamic': 0.25, 'int8': 0.5}


@dataclasses.dataclass(frozen=True)
class Target:
    """A file to write."""

    form: str
    quantization: str
    path: str

    @property
    def shown(self) -> str:
        return self.form if self.quantization == 'none' else f'{self.form} {self.quantization}'


def targets(formats: str, quantizations: str, output_file: str) -> list[Target]:
    """The files that the flags name, in their order; raises UsageError.

    One file has the path that was given; of several each gets an ending of its own.
    """
    forms = _words(formats, 'format', FORMS)
    kinds = _words(quantizations, 'quantization', TOLERANCES)
    if kinds != ['none'] and 'tflite' not in forms:
        raise errors.UsageError(
            f'--quantization={quantizations} is for --format=tflite, and --format={formats} has '
            'no TFLite'
        )
    pairs = [(form, kind) for form in forms for kind in (kinds if form == 'tflite' else ['none'])]
    if len(pairs) == 1:
        return [Target(*pairs[0], _checked(output_file, pairs[0][0]))]
    stem = _stem(output_file)
    return [
        Target(form, kind, stem + _suffix(kind, kinds) + FORMS[form].ending) for form, kind in pairs
    ]


def _suffix(kind: str, kinds: Sequence[str]) -> str:
    return f'_{kind}' if kind != 'none' and len(kinds) > 1 else ''


def _stem(path: str) -> str:
    path = path.rstrip('/')
    for form in FORMS.values():
        if os.path.basename(path) != form.ending and path.endswith(form.ending):
            return path[: -len(form.ending)]
    return path


def _checked(path: str, form: str) -> str:
    """The path; UsageError where it ends as the files of another form do."""
    for other, row in FORMS.items():
        if other != form and row.ending.startswith('.') and path.endswith(row.ending):
            raise errors.UsageError(
                f'--output_file={errors.shortened(path, 80)} ends as a file of --format={other} '
                f'does, and --format is {form}: give {_stem(os.path.basename(path))}'
                f'{FORMS[form].ending}'
            )
    return path.rstrip('/')


def _words(text: str, flag: str, choices: Any) -> list[str]:
    words = list(dict.fromkeys(word.strip() for word in text.split(',') if word.strip()))
    for word in words:
        if word not in choices:
            raise errors.UsageError(
                f'--{flag}: {errors.shortened(repr(word), 60)} is none. '
                + errors.did_you_mean(word, choices)
            )
    return words
