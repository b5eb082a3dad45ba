"""The data sets that can be made from their published archives, and the steps that they share."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection

from datasets.conversion import (
    convert_cifar10,
    convert_class_folders,
    convert_mnist,
    convert_scenes,
    convert_visualwakewords,
    downloads,
    set_writer,
)
from datasets.conversion.conversion import Conversion, Settings
from datasets.conversion.downloads import NetworkError
from datasets.conversion.progress_bar import Progress, tell
from datasets.conversion.source_files import MissingSourceError
from datasets.records.description import Description
from slim.errors import DataError, UsageError, unknown_name

_CONVERSIONS = (
    convert_cifar10.CONVERSION,
    convert_class_folders.FLOWERS,
    convert_class_folders.FOLDER,
    convert_class_folders.IMAGENETTE,
    convert_mnist.CONVERSION,
    convert_scenes.CONVERSION,
    convert_visualwakewords.CONVERSION,
)
conversions_map: dict[str, Conversion] = {row.name: row for row in _CONVERSIONS}

_IMAGENET = 'imagenet'
# In the data folder, for what is downloaded.
_DOWNLOADS = 'downloads'


def convert(
    name: str,
    dataset_dir: str,
    source_dir: str | None = None,
    settings: Settings | None = None,
    given: Collection[str] = (),
    progress: Progress = tell,
) -> Description:
    """Writes the records of the data set `name` into `dataset_dir`, with labels.txt, dataset.json.

    Args:
      name: a key of `conversions_map`.
      dataset_dir: where the records go; is made if it is not there.
      source_dir: where the original archives or what was in them lie. None: in
        `dataset_dir`/downloads, and what is not there is downloaded.
      settings: what the conversion is told.
      given: names of settings that the user has given; one that the set does not obey is an error.
      progress: receives lines of text.

    Raises:
      UsageError: an unknown name, a setting that is out of range or has no use.
      DataError: the archives are missing, damaged or others than expected; no network.
      OutputError: the folder cannot be written or holds records already.
    """
    conversion = _look_up(name)
    settings = settings or Settings()
    _check_settings(conversion, settings, given)
    set_writer.check_output(dataset_dir, conversion.file_patterns)
    found = _find(conversion, dataset_dir, source_dir)
    about = set_writer.write_set(
        dataset_dir,
        conversion.file_patterns,
        lambda place: conversion.convert(found, place, settings, progress),
    )
    if source_dir is None and not conversion.generated:
        archives = os.path.join(dataset_dir, _DOWNLOADS)
        progress(f'The archives in {archives} are not needed any more; you may remove them.')
    return about


def _look_up(name: str) -> Conversion:
    if name == _IMAGENET:
        raise UsageError(
            'ImageNet is converted by: python3 preprocess_imagenet.py --raw_data_dir=FOLDER '
            '--local_scratch_dir=OUTPUT (its archives are not downloaded).'
        )
    if name not in conversions_map:
        raise unknown_name('dataset', name, [*conversions_map, _IMAGENET])
    return conversions_map[name]


def _check_settings(conversion: Conversion, settings: Settings, given: Collection[str]) -> None:
    for setting in given:
        if setting not in conversion.settings:
            sets = [row.name for row in _CONVERSIONS if setting in row.settings]
            raise UsageError(
                f'--{setting} has no effect on {conversion.name}; it is for {", ".join(sets)}.'
            )
    threshold, fraction = settings.small_object_area_threshold, settings.validation_fraction
    if not 0 <= threshold < 1:
        raise UsageError(
            f'--small_object_area_threshold={threshold} must be a part of the image, at least 0 '
            'and below 1.'
        )
    if not settings.max_megapixels > 0:
        raise UsageError(f'--max_megapixels={settings.max_megapixels:g} must be above 0.')
    if fraction is not None and not 0 < fraction < 1:
        raise UsageError(f'--validation_fraction={fraction} must be above 0 and below 1.')


def _find(conversion: Conversion, dataset_dir: str, source_dir: str | None) -> object:
    """What to convert; without a source folder it is downloaded first, where a server has it."""
    if conversion.generated:
        if source_dir is not None:
            raise UsageError(
                f'--source_dir has no effect on {conversion.name}, which is generated.'
            )
        return conversion.find('')
    if source_dir is None:
        if not conversion.remote_files:
            raise UsageError(
                f'--source_dir is missing: {conversion.name} has no address to download from. Give '
                'the folder of the images.'
            )
        return _find_or_download(conversion, os.path.join(dataset_dir, _DOWNLOADS))
    if not os.path.isdir(source_dir):
        raise DataError(f'There is no folder {source_dir!r}. Give it with --source_dir.')
    if (
        os.path.realpath(source_dir) == os.path.realpath(dataset_dir)
        and not conversion.remote_files
    ):
        raise UsageError(
            f'The records cannot go into the folder of the images, {source_dir}. Give another one '
            'with --dataset_dir.'
        )
    try:
        return conversion.find(source_dir)
    except MissingSourceError as error:
        urls = ' '.join(remote.url for remote in conversion.remote_files)
        raise DataError(f'{error} From: {urls}') from error


def _find_or_download(conversion: Conversion, folder: str) -> object:
    if os.path.isdir(folder):
        try:
            return conversion.find(folder)
        except MissingSourceError:
            pass
    for remote in conversion.remote_files:
        try:
            downloads.download(remote, folder)
        except NetworkError as error:
            wanted = [r for r in conversion.remote_files if not _is_there(r.name, folder)]
            raise NetworkError(
                f'{error}. Put {", ".join(r.name for r in wanted)} into {shlex.quote(folder)}, '
                'or name their folder with --source_dir, and start again. They come from: '
                f'{" ".join(r.url for r in wanted)}'
            ) from error
    return conversion.find(folder)


def _is_there(name: str, folder: str) -> bool:
    return os.path.exists(os.path.join(folder, name))
