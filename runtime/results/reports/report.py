"""The report of an evaluation, put together: tables, pictures, index.html."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from runtime import folders
from runtime.results import tables
from runtime.results.reports import calibration, counts, diagrams, matrix, page, sheet
from runtime.results.reports.rows import NONE, Rows
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
_LONGEST_NAME = 60


class Names:
    """What classes and images are called."""

    def __init__(self, dataset: Any, classes: int, labels_offset: int) -> None:
        """`dataset`: a `datasets.dataset.Dataset`."""
        self._dataset = dataset
        self.labels = [place + labels_offset for place in range(classes)]
        known = dataset.labels_to_names or {}
        self.classes = [known.get(label, '') for label in self.labels]
        self.shown = [
            errors.shortened(name, _LONGEST_NAME) if name else str(label)
            for label, name in zip(self.labels, self.classes, strict=True)
        ]

    def files(self, rows: Rows) -> list[str]:
        """The record file of each row, without its folder."""
        files = [os.path.basename(path) for path in self._dataset.data_sources]
        return [files[number] for number in rows.files.tolist()]

    def images(self, rows: Rows) -> list[str]:
        """The name of each image; its file and number where the record has none."""
        return [
            name.decode(errors='backslashreplace') or f'{file}:{number}'
            for name, file, number in zip(
                rows.names.tolist(), self.files(rows), rows.records.tolist(), strict=True
            )
        ]


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
    yield 'classes.csv', _csv(_CLASS_COLUMNS, _class_rows(counted, names))
    if len(names.labels) <= _LARGEST_SQUARE:
        yield 'confusion_matrix.csv', _square(pairs, names)
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
    yield 'confused_pairs.csv', _csv(_PAIR_COLUMNS, _pair_rows(pairs, counted, names))
    if mistakes:
        yield 'worst_mistakes.png', sheet.as_png(sheet.draw(mistakes))
        files.append('worst_mistakes.png')
    yield 'calibration.csv', _csv(_BIN_COLUMNS, _bin_rows(calibrated))
    diagram = diagrams.reliability(calibrated)
    yield 'reliability.svg', diagram.encode()
    yield 'predictions.csv', _csv(_prediction_columns(rows), _prediction_rows(rows, names))
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


_CLASS_COLUMNS = (
    *('label', 'class', 'images', 'predicted', 'correct', 'accuracy', 'precision', 'recall'),
    *('f1', 'recall_5', 'not_finite'),
)


def _class_rows(counted: counts.Counts, names: Names) -> Iterator[Sequence[Any]]:
    columns = (counted.images, counted.predicted, counted.correct)
    shares = (counted.recall, counted.precision, counted.recall, counted.f1, counted.recall_5)
    for place, (label, name) in enumerate(zip(names.labels, names.classes, strict=True)):
        yield (
            label,
            name,
            *(int(column[place]) for column in columns),
            *(_share(float(share[place])) for share in shares),
            int(counted.not_finite[place]),
        )


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


def _square(pairs: counts.Pairs, names: Names) -> bytes:
    """Names of the classes, or labels, in the first line and column."""
    classes = len(names.labels)
    dense = pairs.matrix(np.arange(classes), classes)
    named = [name or label for name, label in zip(names.classes, names.labels, strict=True)]
    rows = ((name, *row.tolist()) for name, row in zip(named, dense, strict=True))
    return _csv(('label \\ predicted', *named), rows)


_PAIR_COLUMNS = ('label', 'class', 'predicted', 'predicted_class', 'images', 'share_of_label')


def _pair_rows(
    pairs: counts.Pairs, counted: counts.Counts, names: Names
) -> Iterator[Sequence[Any]]:
    wrong = pairs.mistakes
    for label, predicted, images in zip(
        wrong.labels.tolist(), wrong.predicted.tolist(), wrong.images.tolist(), strict=True
    ):
        yield (
            *(names.labels[label], names.classes[label]),
            *(names.labels[predicted], names.classes[predicted]),
            *(images, _share(images / int(counted.images[label]))),
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


_BIN_COLUMNS = ('above', 'up_to', 'images', 'confidence', 'accuracy')


def _bin_rows(found: calibration.Calibration) -> Iterator[Sequence[Any]]:
    for number in range(calibration.BINS):
        yield (
            *(_share(end / calibration.BINS) for end in (number, number + 1)),
            int(found.images[number]),
            *(_share(float(part[number])) for part in (found.confidence, found.accuracy)),
        )


def _bin_table(found: calibration.Calibration) -> page.Table:
    rows = [
        (
            f'{number / calibration.BINS:.1%} to {(number + 1) / calibration.BINS:.1%}',
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


def _prediction_columns(rows: Rows) -> list[str]:
    columns = ['image', 'file', 'record', 'label', 'class', 'correct', 'place', 'probability']
    for number in range(1, rows.classes.shape[1] + 1):
        columns += [f'predicted_{number}', f'class_{number}', f'probability_{number}']
    return columns


def _prediction_rows(rows: Rows, names: Names) -> Iterator[Sequence[Any]]:
    told = zip(
        names.images(rows),
        names.files(rows),
        rows.records.tolist(),
        rows.labels.tolist(),
        rows.right.tolist(),
        rows.places.tolist(),
        rows.truth.tolist(),
        rows.classes.tolist(),
        rows.probabilities.tolist(),
        strict=True,
    )
    for image, file, record, label, right, place, truth, classes, shares in told:
        finite = classes[0] != NONE
        row: list[Any] = [
            image,
            file,
            record,
            names.labels[label],
            names.classes[label],
            int(right),
        ]
        row += [place + 1, _share(truth)] if finite else ['', '']
        for predicted, share in zip(classes, shares, strict=True):
            known = (names.labels[predicted], names.classes[predicted], _share(share))
            row += known if finite else ['', '', '']
        yield row


def _share(value: float) -> str:
    """Six digits; nothing for what is not defined."""
    return '' if np.isnan(value) else f'{value:.6g}'


def _csv(columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> bytes:
    # Halves of characters, which names of files may have, cannot be written as they are.
    return (tables.as_csv(columns, rows) + '\n').encode(errors='backslashreplace')
