"""index.html: one page that shows the report, with all that it needs inside."""

from __future__ import annotations

import base64
import dataclasses
import html
import math
from collections.abc import Iterable, Sequence

from runtime.results.reports import sheet
from slim import errors

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; color: #222; background: #fff;
  font: 16px/1.45 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; } .faint { color: #595959; font-size: .875rem; }
.tiles { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  margin: 1rem 0; }
.tiles div { border: 1px solid #ccc; border-radius: .4rem; padding: .5rem .7rem; }
.tiles b { display: block; font-size: 1.4rem; }
.tiles span { color: #595959; font-size: .875rem; }
.beside { display: grid; gap: 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
.beside > * { min-width: 0; }
.wide { overflow-x: auto; } .wide img { max-width: none; display: block; }
svg { width: 100%; max-width: 30rem; height: auto; display: block; }
table { border-collapse: collapse; font-size: .875rem; width: 100%; }
th, td { padding: .2rem .5rem; border-bottom: 1px solid #ddd; text-align: left;
  vertical-align: top; }
th { border-bottom: 2px solid #999; } .n { text-align: right; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; white-space: nowrap; }
td:not(.n), th:not(.n) { min-width: 5.5rem; }
.mistakes { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
figure { margin: 0; min-width: 0; } figure img { width: 100%; display: block; }
figcaption { font-size: .8125rem; line-height: 1.35; } figcaption b { font-weight: 600; }
figcaption .faint { font-size: .75rem; overflow-wrap: anywhere; }
"""
# By which a page is known as a report.
MARK = '<meta name="generator" content="tf-slim-suite report">'


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns with a `#` in front hold numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ''


@dataclasses.dataclass(frozen=True)
class Content:
    """What the page shows, as words and pictures."""

    title: str
    about: Sequence[str]  # lines
    tiles: Sequence[tuple[str, str]]  # what, and its value
    classes: Sequence[Table]
    class_diagram: str  # SVG, or ''
    matrices: Sequence[tuple[str, str, bytes]]  # heading, words, PNG
    pairs: Table
    mistakes: Sequence[sheet.Mistake]
    calibration: Table
    calibration_diagram: str  # SVG
    files: Sequence[tuple[str, str]]  # names, and what they hold


def render(content: Content) -> str:
    """The whole page. Names come from data and are escaped."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'{MARK}\n<title>{_words(content.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>',
        f'<h1>{_words(content.title)}</h1>',
        *(f'<p class="faint">{_words(line)}</p>' for line in content.about),
        '<div class="tiles">',
        *(
            f'<div><b>{_words(value)}</b><span>{_words(what)}</span></div>'
            for what, value in content.tiles
        ),
        '</div>',
        *_section(
            'Classes',
            'The accuracy of a class is the share of its images that are right, its recall; '
            'precision is the share that is right of those taken for it.',
        ),
        content.class_diagram,
        '<div class="beside">',
        *map(_table, content.classes),
        '</div>',
        *_section('Confusions', 'Rows are labels, columns what was predicted.'),
        *(_matrix(*matrix) for matrix in content.matrices),
        _table(content.pairs),
        *_section(
            'The worst mistakes',
            'What the network was surest of, and was wrong.'
            if content.mistakes
            else 'There are none.',
        ),
        '<div class="mistakes">',
        *map(_figure, content.mistakes),
        '</div>',
        *_section(
            'Calibration',
            'Of all images predicted with a probability of 80 %, 80 % should be right. Bars below '
            'the line: the network is surer than it is right.',
        ),
        f'<div class="beside"><div>{content.calibration_diagram}</div>',
        _table(content.calibration),
        '</div>',
        *_section('Files', ''),
        '<ul>',
        *(
            f'<li><a href="{name}">{name}</a>: {_words(holds)}</li>'
            for name, holds in content.files
        ),
        '</ul>\n</body>\n</html>\n',
    ]
    return '\n'.join(filter(None, parts))


def number(value: float, digits: int = 4) -> str:
    """`0.8312`, and a dash for what is not defined."""
    return '–' if math.isnan(value) else f'{value:.{digits}f}'


def _words(text: str) -> str:
    return html.escape(errors.printable(text))


def _section(title: str, said: str) -> Iterable[str]:
    return (f'<h2>{title}</h2>', f'<p>{said}</p>' if said else '')


def _table(table: Table) -> str:
    numeric = [column.startswith('#') for column in table.columns]

    def line(tag: str, cells: Iterable[str]) -> str:
        made = (
            f'<{tag}{" class=n" if right else ""}>{_words(cell)}</{tag}>'
            for cell, right in zip(cells, numeric, strict=True)
        )
        return f'<tr>{"".join(made)}</tr>'

    head = line('th', (column.lstrip('#') for column in table.columns))
    body = '\n'.join(line('td', row) for row in table.rows)
    note = f'<p class="faint">{_words(table.note)}</p>' if table.note else ''
    return (
        f'<div class="wide"><h3>{_words(table.title)}</h3>{note}\n<table>\n<thead>{head}</thead>\n'
        f'<tbody>\n{body}\n</tbody>\n</table></div>'
    )


def _matrix(title: str, said: str, png: bytes) -> str:
    return (
        f'<h3>{_words(title)}</h3><p class="faint">{_words(said)}</p>'
        f'<div class="wide"><img alt="{_words(title)}" src="{_data("png", png)}"></div>'
    )


def _figure(mistake: sheet.Mistake) -> str:
    source = _data('jpeg', sheet.as_jpeg(mistake.picture))
    return (
        f'<figure><img alt="{_words(mistake.image)}" src="{source}"><figcaption>'
        f'is <b>{_words(mistake.label)}</b> {_share(mistake.label_probability)}<br>'
        f'seen as <b>{_words(mistake.predicted)}</b> {_share(mistake.probability)}'
        f'<br><span class="faint">{_words(mistake.image)}</span></figcaption></figure>'
    )


def _share(probability: float) -> str:
    return html.escape(sheet.percent(probability)).replace(' ', '&nbsp;')


def _data(kind: str, content: bytes) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
