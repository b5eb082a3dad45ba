"""Drawn pictures on one page: an HTML file that holds them, or a PNG file of all of them."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image

from detection import drawing
from detection.truth import PictureDetections, PictureTruth
from slim.errors import OutputError, UsageError

_QUALITY = 90
_GAP = 8
_COLUMN = 1242  # pixels of a column of a PNG file


@dataclasses.dataclass(frozen=True)
class Entry:
    """A picture on the page."""

    caption: str
    image: np.ndarray  # uint8 [height, width, 3]


def entry(
    image: np.ndarray, truth: PictureTruth, found: PictureDetections, at_least: float = 0.4
) -> Entry:
    """A picture with its objects and what a detector found, with scores of `at_least` and above.

    Objects that do not count (DontCare, difficult ones) are gray.
    """
    ignored = [
        kind == 'DontCare' or bool(difficult)
        for kind, difficult in zip(truth.types, truth.difficult, strict=True)
    ]
    sure = [index for index, score in enumerate(found.scores) if score >= at_least]
    drawn = drawing.draw(
        image,
        np.concatenate(
            [truth.boxes.reshape(-1, 4), np.asarray(found.boxes).reshape(-1, 4)[sure]], axis=0
        ),
        ['' if gray else kind for kind, gray in zip(truth.types, ignored, strict=True)]
        + [f'{found.types[index]} {found.scores[index]:.2f}' for index in sure],
        ['ignored' if gray else 'truth' for gray in ignored] + ['detection'] * len(sure),
    )
    caption = f'{truth.name}: {len(ignored) - sum(ignored)} objects, {len(sure)} found'
    return Entry(caption, drawn)


def write(path: str, title: str, entries: Sequence[Entry]) -> None:
    """Writes a page of the pictures, by the ending of `path`: .html or .png.

    An HTML file holds its pictures itself. Raises UsageError for another ending or no pictures,
    OutputError where the file cannot be written.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in _FORMS:
        raise UsageError(f'{path}: a page of pictures is a file {" or ".join(_FORMS)}')
    if not entries:
        raise UsageError(f'{path}: there are no pictures to show')
    content = _FORMS[ending](title, entries)
    temporary = f'{path}.{os.getpid()}.tmp'
    try:
        with open(temporary, 'wb') as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f'{path} cannot be written: {error.strerror}') from error


def _html(title: str, entries: Sequence[Entry]) -> bytes:
    legend = ''.join(
        f'<span><b style="background:rgb{shade}"></b> {kind}</span>'
        for kind, shade in drawing.COLOURS.items()
    )
    figures = ''.join(
        f'<figure><img alt="{html.escape(one.caption)}" src="data:image/jpeg;base64,'
        f'{base64.b64encode(_file(one.image, "JPEG")).decode()}">'
        f'<figcaption>{html.escape(one.caption)}</figcaption></figure>\n'
        for one in entries
    )
    style = (
        'body{font-family:sans-serif;margin:1em}figure{margin:0 0 1em}img{max-width:100%}'
        'b{display:inline-block;width:1em;height:1em;vertical-align:middle}span{margin-right:2em}'
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<title>{html.escape(title)}</title><style>{style}</style></head>\n'
        f'<body><h1>{html.escape(title)}</h1><p>{legend}</p>\n{figures}</body></html>\n'
    ).encode(errors='backslashreplace')


def _png(title: str, entries: Sequence[Entry]) -> bytes:
    """One below the other; wide ones are made smaller."""
    del title
    pictures = [Image.fromarray(one.image) for one in entries]
    for picture in pictures:
        picture.thumbnail((_COLUMN, _COLUMN))
    size = (
        max(picture.width for picture in pictures),
        sum(picture.height + _GAP for picture in pictures) - _GAP,
    )
    page = Image.new('RGB', size, (255, 255, 255))
    top = 0
    for picture in pictures:
        page.paste(picture, (0, top))
        top += picture.height + _GAP
    return _file(np.asarray(page), 'PNG')


def _file(image: np.ndarray, image_format: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, image_format, quality=_QUALITY)
    return content.getvalue()


_FORMS = {'.html': _html, '.png': _png}
