"""An evaluation with a report, curves and tables of runs: the scripts as a user starts them."""

import csv
import json
import os

import processes
import pytest
from PIL import Image

EVALUATE, PLOT = 'eval_image_classifier.py', 'plot_runs.py'


def rows_of(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


@pytest.fixture
def evaluate(script, digits, trained, tmp_path):
    """Evaluates the trained run."""

    def evaluate(*more, code=0):
        data = [f'--dataset_dir={digits}', f'--checkpoint_path={trained}']
        result = f'--eval_dir={tmp_path / "eval"}'
        return script(EVALUATE, *data, result, '--batch_size=64', *more, code=code)

    return evaluate


def test_a_report_agrees_with_the_evaluation(evaluate, tmp_path):
    told = evaluate(f'--report_dir={tmp_path / "report"}').stdout
    assert told.endswith(f'report: {tmp_path / "report" / "index.html"}\n')
    result = json.loads((tmp_path / 'eval' / 'eval_results.json').read_text())
    predictions = rows_of(tmp_path / 'report' / 'predictions.csv')
    assert len(predictions) == result['images'] == 360
    assert sum(row['label'] == row['predicted_1'] for row in predictions) == round(
        360 * result['accuracy']
    )
    assert sum(int(row['place']) <= 5 for row in predictions) == round(360 * result['recall_5'])
    # The records of the sample name their images, of which each is there once.
    assert len({row['image'] for row in predictions}) == 360
    assert predictions[0]['image'].endswith('.jpg')
    classes = rows_of(tmp_path / 'report' / 'classes.csv')
    assert sum(int(row['correct']) for row in classes) == round(360 * result['accuracy'])
    assert sum(int(row['images']) for row in classes) == 360


@pytest.mark.slow
def test_a_report_that_fails_leaves_the_result(evaluate, tmp_path):
    # That the folder cannot be made shows when the file in its way has been written.
    taken = tmp_path / 'eval' / 'eval_results.json'
    failed = evaluate('--max_num_batches=1', f'--report_dir={taken}/x', code=1)
    assert 'The result stands, but its report in' in failed.stderr
    assert 'Accuracy: ' in failed.stdout
    assert json.loads(taken.read_text())['images'] == 64


@pytest.mark.slow
@pytest.mark.once
def test_a_resumed_run_has_one_table_and_its_curves(script, digits, trained, tmp_path):
    pytest.importorskip('matplotlib')
    folder = tmp_path / 'run'
    processes.copy_of_run(trained, folder)
    told = script(
        'train_image_classifier.py',
        f'--dataset_dir={digits}',
        f'--train_dir={folder}',
        *processes.TRAINED,
        '--max_number_of_steps=10',
    ).stdout
    assert told.endswith(f'curves: {folder}/curves.png\n')
    assert Image.open(folder / 'curves.png').width > 1000
    rows = rows_of(folder / 'summary.csv')
    assert [row['step'] for row in rows] == [str(step) for step in range(1, 11)]
    metrics = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    assert [float(row['loss']) for row in rows] == pytest.approx([x['loss'] for x in metrics])


@pytest.mark.once
def test_runs_are_plotted_side_by_side(script, trained, tmp_path):
    pytest.importorskip('matplotlib')
    shorter = tmp_path / 'shorter'
    shorter.mkdir()
    lines = (trained / 'metrics.jsonl').read_text().splitlines(keepends=True)
    (shorter / 'metrics.jsonl').write_text(''.join(lines[:3]))
    done = script(PLOT, str(trained), str(shorter), '--output_file=both.png', fresh=True)
    assert done.stdout == 'curves: both.png\n'
    assert done.stderr == 'note: the runs differ: last step 6, 3\n'
    assert Image.open(tmp_path / 'both.png').format == 'PNG'
    before = sorted(os.listdir(tmp_path))
    (shorter / 'metrics.jsonl').write_text(f'{lines[0]}half a line\n')
    wrong = {
        (): (2, 'give the folders of runs, plot_runs.py RUN...'),
        (str(trained), '--output_file=x.bmp'): (2, 'ends in .png, .svg or .pdf'),
        (str(tmp_path),): (3, 'has no metrics.jsonl'),
        (str(shorter),): (3, 'shorter/metrics.jsonl, line 2: is no JSON object'),
        (str(trained), '--output_file=/dev/null/x.png'): (1, '/dev/null/x.png cannot be written'),
    }
    for words, (code, message) in wrong.items():
        failed = script(PLOT, *words, code=code)
        assert message in failed.stderr and failed.stderr.count('\n') == 1, failed.stderr
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.once
def test_plots_without_the_extra_name_it(script, trained, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(
        'import importlib.util as util\nfind = util.find_spec\n'
        'util.find_spec = lambda name, *more: None if name == "matplotlib" else find(name, *more)\n'
    )
    hidden = {'PYTHONPATH': str(tmp_path)}.items()
    failed = script(PLOT, str(trained), code=2, environment=hidden, fresh=True)
    assert "install the extra `plot`, pip install '.[plot]'" in failed.stderr
    assert not (tmp_path / 'curves.png').exists()
