"""The report of an evaluation, put together: tables, pictures, index.html."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from runtime import folders
from runtime.results.reports import (
    calibration,
    counts,
    csv_files,
    diagrams,
    matrix,
    page,
    sheet,
)
from runtime.results.reports.names import Names
from runtime.results.reports.rows import Rows
from slim import errors

PAGE = 'index.html'
# What each file holds; the page is written last, so that with it all of them are there.
FILES = {
    'classes.csv': 'images, accuracy, precision, recall of every class',
    'confusion_matrix.csv': 'images by label and prediction, up to 2,000 classes',
    'confusion_matrix.png': 'the same as a picture',
    'confusion_zoom.png': 'the classes of the most frequent mistakes',
    'confused_pairs.csv': 'which class was taken for which, the most frequent first',
    'worst_mistakes.png': 'pictures of the mistakes that the network was surest of',
    'calibration.csv': 'accuracy by confidence',
    'reliability.svg': 'the same as a diagram',
    'predictions.csv': 'every image with its label and the best classes',
    PAGE: 'this page',
}
_LARGEST_SQUARE = 2000
# Tables of the page have so many lines, from either end where there are more.
_ALL_SHOWN, _ENDS, _PAIRS = 50, 15, 20


def check_folder(folder: str) -> None:
    """OutputError where no report can be written: before an evaluation of hours. Makes nothing."""
    folders.check_writable(folder, 'report_dir')
    path = os.path.join(folder, PAGE)
    if tf.gfile.Exists(path):
        with tf.gfile.Open(path, 'rb') as file:
            begin = file.read(1000)
        if page.MARK.encode() not in begin:
            raise errors.OutputError(
                f'--report_dir={folder}: {PAGE} there is no report and would be lost; give another'
            )


def write(
    folder: str,
    rows: Rows,
    dataset: Any,
    classes: int,
    labels_offset: int,
    result: Mapping[str, Any],
) -> None:
    """Writes the report into `folder`, in place of an earlier one. Other files there stay.

    Args:
      folder: is made where it is missing.
      rows: of all images.
      dataset: the split, a `datasets.dataset.Dataset`.
      classes: number of logits.
      labels_offset: the label of the first logit.
      result: what eval_results.json has.

    Raises:
      OutputError: the report cannot be made or written; the evaluation's result stands by itself.
    """
    try:
        _begin(folder)
        names = Names(dataset, classes, labels_offset)
        for name, content in _contents(rows, dataset, names, result):
            folders.write_bytes(os.path.join(folder, name), content)
    except Exception as error:
        # Whatever it was: the evaluation may have taken hours, and its result has been published.
        why = error if isinstance(error, errors.SuiteError) else folders.reason(error)
        kind = '' if isinstance(error, errors.SuiteError) else f'{type(error).__name__}: '
        said = f'The result stands, but its report in {folder} is not complete: {kind}{why}'
        raise errors.OutputError(said) from error
    print(f'report: {errors.printable(os.path.join(folder, PAGE))}', flush=True)


def _begin(folder: str) -> None:
    """Makes the folder; an earlier report goes, its page first, which says that it is whole."""
    folders.make_folder(folder, 'report_dir')
    for name in reversed(FILES):
        path = os.path.join(folder, name)
        if tf.gfile.Exists(path):
            tf.gfile.Remove(path)


def _contents(
    rows: Rows, dataset: Any, names: Names, result: Mapping[str, Any]
) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, the page last."""
    counted, pairs = counts.count(rows, len(names.labels))
    calibrated = calibration.calibrate(rows)
    worst = sheet.worst(rows)
    mistakes = sheet.mistakes(worst, dataset, names.shown, names.images(worst))
    whole = matrix.whole(pairs, counted.images, names.shown)
    drawn = sheet.as_png(matrix.draw(whole))
    matrices = [('All classes', _about_matrix(whole), drawn)]
    files = ['classes.csv', 'confusion_matrix.png', 'confused_pairs.csv', 'calibration.csv']
    yield 'classes.csv', csv_files.classes(counted, names)
    if len(names.labels) <= _LARGEST_SQUARE:
        yield 'confusion_matrix.csv', csv_files.square(pairs, names)
        files.append('confusion_matrix.csv')
    yield 'confusion_matrix.png', drawn
    confused = counts.most_confused(pairs, matrix.ZOOMED_CLASSES)
    if whole.classes_in_line > 1 and confused:
        zoomed = matrix.zoomed(pairs, counted.images, names.shown, confused)
        drawn = sheet.as_png(matrix.draw(zoomed))
        said = 'Those of the most frequent mistakes; other predictions of theirs are left out.'
        matrices.append((f'{len(confused)} classes', said, drawn))
        yield 'confusion_zoom.png', drawn
        files.append('confusion_zoom.png')
    yield 'confused_pairs.csv', csv_files.confused(pairs, counted, names)
    if mistakes:
        yield 'worst_mistakes.png', sheet.as_png(sheet.draw(mistakes))
        files.append('worst_mistakes.png')
    yield 'calibration.csv', csv_files.calibrated(calibrated)
    diagram = diagrams.reliability(calibrated)
    yield 'reliability.svg', diagram.encode()
    yield 'predictions.csv', csv_files.predictions(rows, names)
    files += ['reliability.svg', 'predictions.csv']

    accuracies = counted.recall[counted.images > 0]
    many = len(names.labels) > _ALL_SHOWN
    content = page.Content(
        title=f'{result["model_name"]} on {result["dataset_name"]}, {result["dataset_split_name"]}',
        about=_about(result, counted),
        tiles=_tiles(result, accuracies, calibrated),
        classes=_class_tables(counted, names),
        class_diagram=diagrams.histogram(accuracies, 'accuracy of a class') if many else '',
        matrices=matrices,
        pairs=_pair_table(pairs, counted, names),
        mistakes=mistakes,
        calibration=_bin_table(calibrated),
        calibration_diagram=diagram,
        files=[(name, holds) for name, holds in FILES.items() if name in files],
    )
    yield PAGE, page.render(content).encode()


def _about(result: Mapping[str, Any], counted: counts.Counts) -> list[str]:
    lines = [
        f'{result["checkpoint"]}, step {result["step"]}: its {result["weights"]}',
        f'Images of {result["image_size"]} pixels, preprocessing {result["preprocessing_name"]}, '
        f'{result["dtype"]}; TensorFlow {result["tensorflow_version"]}',
    ]
    lost = int(counted.not_finite.sum())
    if lost:
        lines.append(
            f'{lost:,} images have logits that are not finite. They count as wrong, and as taken '
            'for no class.'
        )
    return lines


def _tiles(
    result: Mapping[str, Any], accuracies: np.ndarray, calibrated: calibration.Calibration
) -> list[tuple[str, str]]:
    mean = float(accuracies.mean()) if len(accuracies) else float('nan')
    return [
        ('Accuracy', page.number(result['accuracy'])),
        ('Recall_5', page.number(result['recall_5'])),
        ('mean accuracy of the classes', page.number(mean)),
        ('images', f'{result["images"]:,}'),
        ('expected calibration error', page.number(calibrated.expected_error)),
        ('mean confidence', page.number(calibrated.mean_confidence)),
    ]


def _class_tables(counted: counts.Counts, names: Names) -> list[page.Table]:
    """All classes, or those from either end, by their accuracy."""
    accuracy = counted.recall
    columns = ('#label', 'class', '#images', '#accuracy', '#precision', '#F1')

    def table(title: str, places: Sequence[int]) -> page.Table:
        rows = [
            (
                str(names.labels[place]),
                names.shown[place],
                f'{int(counted.images[place]):,}',
                *(
                    page.number(float(share[place]), 3)
                    for share in (accuracy, counted.precision, counted.f1)
                ),
            )
            for place in places
        ]
        return page.Table(title, columns, rows)

    classes = len(names.labels)
    if classes <= _ALL_SHOWN:
        return [table('All classes', range(classes))]
    known = np.flatnonzero(counted.images > 0)
    order = known[np.argsort(accuracy[known], kind='stable')].tolist()
    most = min(_ENDS, len(order))
    return [table('Lowest accuracy', order[:most]), table('Highest accuracy', order[::-1][:most])]


def _about_matrix(whole: matrix.Matrix) -> str:
    if whole.classes_in_line == 1:
        return 'Numbers are images; the colour is their share of the label.'
    return (
        f'{whole.classes_in_line} neighbouring classes in each line; the colour is the share of '
        'their images.'
    )


def _pair_table(pairs: counts.Pairs, counted: counts.Counts, names: Names) -> page.Table:
    wrong = pairs.mistakes
    rows = [
        (
            names.shown[label],
            names.shown[predicted],
            f'{images:,}',
            sheet.percent(images / int(counted.images[label])),
        )
        for label, predicted, images in zip(
            wrong.labels[:_PAIRS].tolist(),
            wrong.predicted[:_PAIRS].tolist(),
            wrong.images[:_PAIRS].tolist(),
            strict=True,
        )
    ]
    more = f'The first {_PAIRS} of {len(wrong.labels):,}.' if len(wrong.labels) > _PAIRS else ''
    columns = ('label', 'taken for', '#images', '#of the label')
    return page.Table('The most frequent mistakes', columns, rows, more)


def _bin_table(found: calibration.Calibration) -> page.Table:
    width = 100 / calibration.BINS
    rows = [
        (
            f'{width * number:.1f} to {width * (number + 1):.1f} %',
            f'{int(found.images[number]):,}',
            page.number(float(found.confidence[number]), 3),
            page.number(float(found.accuracy[number]), 3),
        )
        for number in range(calibration.BINS)
        if found.images[number]
    ]
    return page.Table(
        'By confidence', ('probability', '#images', '#mean probability', '#accuracy'), rows
    )
