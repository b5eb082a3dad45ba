"""Curves and summary.csv: one history of metrics.jsonl, whatever happened to the run."""

import io
import json
import math

import pytest
from PIL import Image

from runtime.curves import at_the_end, drawing, history, summary_file
from slim import errors

pytestmark = pytest.mark.once


def row(step, **more):
    made = {'step': step, 'loss': 10.0 / step, 'sec_per_step': 0.5, 'learning_rate': 0.1}
    return {**made, 'epoch': step / 100, 'images_per_sec': 64.0, 'data_wait': 0.0, **more}


def validation(step, accuracy=0.25):
    return {
        **{'kind': 'validation', 'step': step, 'epoch': step / 100},
        **{'Accuracy': accuracy, 'Recall_5': 0.5, 'loss': 2.0, 'time': 1.0},
    }


def write(folder, rows, end='\n', **about):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)) + end)
    if about:
        start = {'flags': {'model_name': about['network']}, 'dataset': {'name': about['dataset']}}
        (folder / 'run.json').write_text(json.dumps({'starts': [{}, start]}))
    return str(folder)


RESUMED = [row(10), row(20), validation(20), row(30), row(40), validation(40, 0.9), row(30, loss=7)]


def test_a_resumed_run_has_no_row_twice(tmp_path):
    run = history.read(write(tmp_path, [*RESUMED, validation(30, 0.75)]))
    assert [(found['step'], found['loss']) for found in run.steps] == [(10, 1), (20, 0.5), (30, 7)]
    assert [(found['step'], found['Accuracy']) for found in run.validations] == [
        (20, 0.25),
        (30, 0.75),
    ]


def test_time_is_that_of_the_steps(tmp_path):
    run = history.read(write(tmp_path, [row(10), row(20, sec_per_step=2.0), row(25)]))
    assert history.seconds(run) == [5.0, 25.0, 27.5]


@pytest.mark.parametrize('line', ['{"step": 3, "lo', '[1]', '{"loss": 1}', '{"step": true}'])
def test_a_damaged_line_is_named_with_its_file(tmp_path, line):
    folder = write(tmp_path, [row(1)])
    with open(tmp_path / 'metrics.jsonl', 'a') as file:
        file.write(f'{line}\n{json.dumps(row(4))}\n')
    with pytest.raises(errors.DataError, match=rf'{folder}/metrics.jsonl, line 2: is no JSON'):
        history.read(folder)


def test_the_last_line_of_a_killed_run_may_be_cut_off(tmp_path):
    run = history.read(write(tmp_path, [row(1), row(2)], end='\n{"step": 3, "lo'))
    assert [found['step'] for found in run.steps] == [1, 2]


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(errors.DataError, match=r'has no metrics.jsonl: give the --train_dir'):
        history.read(str(tmp_path))
    with pytest.raises(errors.DataError, match='is no folder'):
        history.read(str(tmp_path / 'none'))
    empty = history.read(write(tmp_path, [], end=''))
    with pytest.raises(errors.DataError, match='nothing has been logged yet'):
        drawing.draw([empty])


def test_names_are_the_ends_of_the_paths_that_differ(tmp_path):
    runs = [history.Run(folder, [], [], {}) for folder in ('/a/x/run', '/a/y/run', '/b/run/')]
    assert [run.name for run in history.named(runs)] == ['x/run', 'y/run', 'b/run']
    same = [history.Run(folder, [], [], {}) for folder in ('/a/x/run', '/a/x/run')]
    assert [run.name for run in history.named(same)] == ['run', 'run']


def test_what_makes_runs_hard_to_compare_is_said(tmp_path):
    runs = [
        history.read(write(tmp_path / 'a', [row(10)], network='lenet', dataset='digits')),
        history.read(write(tmp_path / 'b', [row(30)], network='vgg_16', dataset='digits')),
    ]
    said = 'the runs differ: network lenet, vgg_16; last step 10, 30'
    assert history.difference(runs) == said
    assert history.difference(runs[:1]) == ''


def test_smoothing_is_a_mean_that_leaves_out_what_is_not_finite():
    values = [1.0, 3.0, math.nan, 5.0] * 25  # 100: pairs
    assert drawing.smoothed(values)[:5] == [1.0, 2.0, 3.0, 5.0, 3.0]


def test_pictures_of_one_run_and_of_several(tmp_path):
    pytest.importorskip('matplotlib')
    steps = [row(step) for step in range(10, 510, 10)]
    alone = history.read(write(tmp_path / '_$x_', steps))
    several = [alone, history.read(write(tmp_path / 'b', [*steps[:3], validation(30)]))]
    sizes = []
    for runs in ([alone], several):
        picture = Image.open(io.BytesIO(drawing.draw(history.named(runs))))
        colours = {pixel for _, pixel in picture.convert('RGB').getcolors(1_000_000)}
        drawn = [tuple(bytes.fromhex(colour[1:])) in colours for colour in drawing._COLOURS[:3]]
        assert drawn == [True, len(runs) == 2, False]
        sizes.append(picture.size)
    lines = {title: len(lines) for title, lines in drawing._panels(several)}
    assert lines == {'loss': 3, 'learning rate': 2, 'accuracy': 2}
    # The second has a row for the accuracy.
    assert sizes[0][0] == sizes[1][0] and sizes[1][1] > 1.4 * sizes[0][1]
    assert drawing.draw([alone], 'svg').startswith(b'<?xml')


def test_the_end_of_a_run_draws_its_curves_and_never_fails(tmp_path, monkeypatch):
    pytest.importorskip('matplotlib')
    said = []
    few, many = [row(step) for step in range(1, 10)], [row(step) for step in range(1, 11)]
    at_the_end.draw(write(tmp_path / 'few', few), said.append)
    assert said == [] and not (tmp_path / 'few' / 'curves.png').exists()
    folder = write(tmp_path / 'many', many)
    at_the_end.draw(folder, said.append)
    assert said == [f'curves: {folder}/curves.png']
    assert Image.open(tmp_path / 'many' / 'curves.png').format == 'PNG'
    at_the_end.draw(str(tmp_path), said.append)
    assert said[1].startswith('note: no curves.png: ')
    monkeypatch.setattr(drawing, 'has_extra', lambda: False)
    at_the_end.draw(folder, said.append)
    assert "pip install '.[plot]'" in said[2]
    with pytest.raises(errors.UsageError, match='install the extra `plot`'):
        drawing.check_extra()


def table(folder):
    lines = (folder / 'summary.csv').read_text().splitlines()
    assert lines[0] == (
        'kind,step,epoch,loss,learning_rate,images_per_sec,sec_per_step,data_wait,accuracy,'
        'recall_5,time'
    )
    return [line.split(',')[:4] for line in lines[1:]]


def test_summary_csv_survives_a_resume_without_double_rows(tmp_path):
    fresh = summary_file.SummaryFile(str(tmp_path))
    fresh.start(0)
    for made in RESUMED[:6]:
        fresh.add(made)
    assert [cells[:2] for cells in table(tmp_path)][-2:] == [['train', '40'], ['validation', '40']]
    # The run was killed in a line of each file, and goes on from step 20.
    write(tmp_path, RESUMED[:6], end='\n{"step": 5')
    with open(tmp_path / 'summary.csv', 'a') as file:
        file.write('train,5')
    resumed = summary_file.SummaryFile(str(tmp_path))
    resumed.start(20)
    resumed.add(RESUMED[6])
    assert table(tmp_path) == [
        ['train', '10', '0.1', '1'],
        ['train', '20', '0.2', '0.5'],
        ['validation', '20', '0.2', '2'],
        ['train', '30', '0.3', '7'],
    ]
