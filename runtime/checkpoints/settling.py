"""The flags of an evaluation or an export beside what its checkpoint's sidecar says."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from runtime import options
from runtime.checkpoints.sidecar import DetectorSidecar, Sidecar, Trained
from slim import errors

Options = TypeVar('Options')

# Flag to field of the sidecar. Flags that a script does not have are passed over.
_FIELDS: dict[type[Trained], dict[str, str]] = {
    Sidecar: {
        'model_name': 'model_name',
        'preprocessing_name': 'preprocessing_name',
        'use_grayscale': 'use_grayscale',
        'labels_offset': 'labels_offset',
        'eval_image_size': 'image_size',
        'image_size': 'image_size',
    },
    DetectorSidecar: {
        name: name for name in ('model_name', 'width_multiplier', 'image_height', 'image_width')
    },
}


def _never_the_same(name: str, other: str) -> bool:
    del name, other
    return False


def settle(
    chosen: Options,
    given: Collection[str],
    about: Trained | None,
    same_preprocessing: Callable[[str, str], bool] = _never_the_same,
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
    for flag, field in _FIELDS[type(about)].items():
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
    # Whether there are averages; by which decay they were made is nothing that is asked for here.
    decay, asked = about.moving_average_decay, flags.get('moving_average_decay')
    if 'moving_average_decay' not in given and bool(asked) != bool(decay):
        taken['moving_average_decay'] = decay
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
    return check_names(about, dataset)


def check_names(about: Trained | None, dataset: Any) -> str:
    """A line on labels that have other names here than in training, or ''."""
    for label, name in enumerate((about and about.label_names) or ()):
        here = (dataset.labels_to_names or {}).get(label, name)
        if here != name:
            return (
                f'warning: label {label} is {errors.shortened(here, 60)!r} here and was '
                f'{errors.shortened(name, 60)!r} in training: is it the same data set?'
            )
    return ''
