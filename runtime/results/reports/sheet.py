"""The worst mistakes with their pictures: what the network was surest of, and was wrong."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
import tensorflow.compat.v1 as tf
from PIL import Image, ImageDraw

from runtime.input.record_order import RecordSet, as_written
from runtime.results.reports import colours, text
from runtime.results.reports.rows import Rows
from slim import errors

MOST = 24
COLUMNS = 4
SIDE = 176  # pixels of a picture
_LINES = 58  # pixels below it
_MARGIN = 14
_WHITE = (255, 255, 255)


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One picture and what is said about it."""

    picture: Image.Image  # RGB, SIDE x SIDE
    image: str  # its name
    label: str
    label_probability: float
    predicted: str
    probability: float


def worst(rows: Rows) -> Rows:
    """The mistakes with the highest probabilities, at most MOST, the worst first."""
    wrong = np.flatnonzero(~rows.right & np.isfinite(rows.probabilities[:, 0]))
    order = np.argsort(-rows.probabilities[wrong, 0], kind='stable')
    return rows.chosen(wrong[order[:MOST]])


def mistakes(
    rows: Rows, records: RecordSet, names: Sequence[str], images: Sequence[str]
) -> list[Mistake]:
    """`rows`: of `worst`; `names`: of the classes; `images`: of the rows' images.

    Raises DataError where a record file can no longer be read.
    """
    pictures = _pictures(rows, records)
    return [
        Mistake(
            _fitted(picture),
            image,
            names[label],
            float(truth),
            names[best[0]],
            float(shares[0]),
        )
        for picture, image, label, truth, best, shares in zip(
            pictures,
            images,
            rows.labels.tolist(),
            rows.truth.tolist(),
            rows.classes.tolist(),
            rows.probabilities.tolist(),
            strict=True,
        )
    ]


def _pictures(rows: Rows, records: RecordSet) -> list[np.ndarray]:
    """uint8 [h, w, channels] of each row; each record file is read once, up to the last one."""
    compressions = records.compressions or [''] * len(records.data_sources)
    found: dict[tuple[int, int], np.ndarray] = {}
    for file in np.unique(rows.files).tolist():
        wanted = np.unique(rows.records[rows.files == file]).tolist()
        path = records.data_sources[file]
        with tf.Graph().as_default(), tf.Session() as session:
            try:
                pictures = _decoded(records, path, compressions[file], wanted)
                next_picture = tf.data.make_one_shot_iterator(pictures).get_next()
                for number in wanted:
                    found[file, number] = session.run(next_picture)
            except (tf.errors.OpError, OSError) as error:
                reason = f'{path}, which holds the pictures of mistakes, cannot be read any more'
                raise errors.DataError(reason) from error
    places = zip(rows.files.tolist(), rows.records.tolist(), strict=True)
    return [found[place] for place in places]


def _decoded(
    records: RecordSet, path: str, compression: str, wanted: Sequence[int]
) -> tf.data.Dataset:
    """The pictures of the records with the `wanted` numbers, in the order of the file."""

    @as_written
    def is_wanted(number: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
        del record
        return tf.reduce_any(tf.equal(number, tf.constant(wanted, tf.int64)))

    @as_written
    def decode(number: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
        del number
        return records.decode(records.parse(record)['encoded'])

    numbered = tf.data.TFRecordDataset(path, compression).enumerate().take(max(wanted) + 1)
    return numbered.filter(is_wanted).map(decode)


def _fitted(pixels: np.ndarray) -> Image.Image:
    """The whole picture, in the middle of a square; a small one keeps its pixels."""
    # Decoders give bytes, or floats where a set's own decoder wants it.
    values = np.clip(pixels, 0, 255).astype(np.uint8)
    whole = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).convert('RGB')
    scale = SIDE / max(whole.size)
    size = (max(1, round(whole.width * scale)), max(1, round(whole.height * scale)))
    way = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    square = Image.new('RGB', (SIDE, SIDE), colours.EMPTY)
    square.paste(whole.resize(size, way), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return square


def draw(shown: Sequence[Mistake]) -> Image.Image:
    """All of them in one picture, COLUMNS beside each other."""
    columns = max(1, min(COLUMNS, len(shown)))
    lines = -(-len(shown) // columns)
    cell = (SIDE + _MARGIN, SIDE + _LINES + _MARGIN)
    size = (columns * cell[0] + _MARGIN, max(1, lines) * cell[1] + _MARGIN)
    canvas = Image.new('RGB', size, _WHITE)
    pen = ImageDraw.Draw(canvas)
    font, small = text.font(13), text.font(11)
    for number, mistake in enumerate(shown):
        x = _MARGIN + number % columns * cell[0]
        y = _MARGIN + number // columns * cell[1]
        canvas.paste(mistake.picture, (x, y))
        said = (
            ('is', mistake.label, mistake.label_probability),
            ('seen as', mistake.predicted, mistake.probability),
        )
        for line, (word, name, share) in enumerate(said):
            end = f' {percent(share)}'
            begin = text.cut(f'{word} {name}', font, SIDE - text.width(end, font))
            pen.text((x, y + SIDE + 12 + 18 * line), begin + end, colours.INK, font, anchor='lm')
        image = text.cut(mistake.image, small, SIDE)
        pen.text((x, y + SIDE + 48), image, colours.INK, small, anchor='lm')
    return canvas


def percent(share: float) -> str:
    """`99.7 %`; never 0 for what is not, nor 100."""
    if 0 < share < 0.0005:
        return '<0.1 %'
    return '>99.9 %' if 0.9995 <= share < 1 else f'{share:.1%}'.replace('%', ' %')


def as_png(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, 'PNG', optimize=True)
    return written.getvalue()


def as_jpeg(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, 'JPEG', quality=88)
    return written.getvalue()
