"""The flags of an evaluation or an export beside what its checkpoint's sidecar says."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from runtime import options
from runtime.checkpoints.sidecar import Sidecar
from slim import errors

Options = TypeVar('Options')

# Flag to field of the sidecar. Flags that a script does not have are passed over.
_FIELDS = {
    'model_name': 'model_name',
    'preprocessing_name': 'preprocessing_name',
    'use_grayscale': 'use_grayscale',
    'labels_offset': 'labels_offset',
    'eval_image_size': 'image_size',
    'image_size': 'image_size',
}


def settle(
    chosen: Options,
    given: Collection[str],
    about: Sidecar | None,
    same_preprocessing: Callable[[str, str], bool],
) -> Options:
    """The options, with the sidecar's values for flags that were not given.

    Args:
      chosen: an option class, or one of option classes.
      given: names of the flags that the user gave.
      about: the sidecar; None: nothing changes.
      same_preprocessing: whether two names stand for one preprocessing.

    Raises:
      UsageError: a flag that was given says something else than the sidecar.
    """
    if about is None:
        return chosen
    flags = options.values(chosen)
    taken: dict[str, Any] = {}
    for flag, field in _FIELDS.items():
        if flag not in flags:
            continue
        held = getattr(about, field)
        if flag not in given:
            taken[flag] = held
        elif flags[flag] != held and not (
            field == 'preprocessing_name' and same_preprocessing(flags[flag], held)
        ):
            raise errors.UsageError(
                f'--{flag}={errors.shortened(flags[flag], 60)}, but the checkpoint was trained '
                f'with {errors.shortened(held, 60)}: leave the flag away, or give --ignore_sidecar '
                'and every flag that differs from its default'
            )
    if 'moving_average_decay' not in given and not about.moving_average_decay:
        taken['moving_average_decay'] = 0.0
    return options.with_values(chosen, taken)


def check_dataset(about: Sidecar | None, dataset: Any) -> str:
    """A line on labels that have other names here than in training, or ''.

    Raises:
      UsageError: the data set has a background class and that of the training had none, or the
        other way round, so that the same label is not the same class.
    """
    if about is None or about.dataset_num_classes != dataset.num_classes:
        return ''  # Other numbers of classes show in the shapes of the variables.
    if about.has_background != dataset.has_background:
        has = {True: 'a background class', False: 'no background class'}
        raise errors.UsageError(
            f'The data set has {has[dataset.has_background]}, that of the training had '
            f'{has[about.has_background]}: its labels mean other classes. Give --ignore_sidecar '
            'where that is meant'
        )
    for label, name in enumerate(about.label_names or ()):
        here = (dataset.labels_to_names or {}).get(label, name)
        if here != name:
            return (
                f'warning: label {label} is {errors.shortened(here, 60)!r} here and was '
                f'{errors.shortened(name, 60)!r} in training: is it the same data set?'
            )
    return ''
