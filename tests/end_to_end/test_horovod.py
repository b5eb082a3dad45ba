"""Two real workers under mpirun: same weights, averaged gradients, one writer."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys

import processes
import pytest

pytest.importorskip('horovod', reason='Horovod is not installed; make horovod builds it')

_WORKER = """
import json, sys
from runtime import options, startup
workers = options.ClusterOptions(use_horovod=True, num_workers=2)
runtime = startup.start(options.DeviceOptions(), workers)
import tensorflow.compat.v1 as tf
cluster = runtime.cluster
with tf.Graph().as_default(), tf.Session() as session:
    v = tf.get_variable('v', initializer=[float(cluster.rank), 5.0])
    step = tf.train.create_global_step()
    broadcast = cluster.broadcast(tf.global_variables())
    pairs = cluster.average_gradients([(v * 2.0 + cluster.rank, v), (None, step)])
    events = cluster.any_worker(tf.constant([cluster.rank == 1, False]), 'events')
    mean = cluster.average([v])
    sparse = tf.IndexedSlices(
        tf.ones([1]) * (cluster.rank + 1), tf.constant([cluster.rank]), tf.constant([2]))
    (summed, _), = cluster.average_gradients([(sparse, v)])
    gathered = cluster.gather({'rank': cluster.rank, 'text': 'x' * cluster.rank})
    session.run(tf.global_variables_initializer())
    step.load(7 + cluster.rank, session)
    session.run(broadcast)
    result = {
        'rank': cluster.rank, 'size': cluster.size, 'v': session.run(v).tolist(),
        'step': int(session.run(step)), 'gradient': session.run(pairs[0][0]).tolist(),
        'none': pairs[1][0] is None, 'events': session.run(events).tolist(),
        'gathered': gathered, 'threads': cluster.threads > 0, 'hosts': len(cluster.hosts),
        'sparse': isinstance(summed, tf.IndexedSlices),
        'summed': session.run(tf.convert_to_tensor(summed)).tolist()}
    v.load([float(cluster.rank), 3.0], session)
    session.run(mean)
    result['mean'] = session.run(v).tolist()
# A file each: mpirun may join the lines that two workers print.
with open(f'{sys.argv[1]}/{cluster.rank}.json', 'w') as file:
    json.dump(result, file)
"""


def mpirun(cache, *arguments, code=0):
    """Runs two workers of this Python; returns what they printed."""
    finished = subprocess.run(
        [*processes.mpirun(2), sys.executable, *arguments],
        env=processes.worker_environment(cache),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == code, finished.stdout + finished.stderr
    return finished.stdout


@pytest.mark.slow
def test_broadcast_average_and_any_worker(cache, tmp_path):
    mpirun(cache, '-c', _WORKER, str(tmp_path))
    results = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(2)]
    assert [result.pop('rank') for result in results] == [0, 1]
    # Rank 0's values everywhere; the mean of 2 v and 2 v + 1.
    expected = {
        'size': 2,
        'v': [0.0, 5.0],
        'step': 7,
        'gradient': [0.5, 10.5],
        'none': True,
        'events': [True, False],
        'gathered': [{'rank': 0, 'text': ''}, {'rank': 1, 'text': 'x'}],
        'threads': True,
        'hosts': 2,
        'sparse': True,
        'summed': [0.5, 1.0],
        'mean': [0.5, 3.0],
    }
    assert results == [expected, expected]


def test_training_with_two_workers_logs_and_saves_once(cache, digits, script, tmp_path):
    out = mpirun(
        cache,
        str(processes.ROOT / 'train_image_classifier.py'),
        '--use_horovod',
        '--num_workers=2',
        f'--dataset_dir={digits}',
        f'--train_dir={tmp_path}',
        '--max_number_of_steps=3',
        '--log_every_n_steps=1',
        '--train_image_size=32',
        *processes.PLAIN,
    )
    assert re.findall(r'^global step (\d):', out, re.M) == ['1', '2', '3']
    assert 'steps of 32 images' in out
    records = (tmp_path / 'metrics.jsonl').read_text().splitlines()
    assert len(records) == 3
    assert len([name for name in os.listdir(tmp_path) if 'tfevents' in name]) == 1
    evaluation = [
        f'--dataset_dir={digits}',
        f'--checkpoint_path={tmp_path}',
        '--eval_image_size=32',
        *processes.PLAIN,
    ]

    def folders(name):
        return [f'--eval_dir={tmp_path / name}', f'--report_dir={tmp_path / name / "report"}']

    one = script('eval_image_classifier.py', *evaluation, *folders('one')).stdout
    program = str(processes.ROOT / 'eval_image_classifier.py')
    two = mpirun(cache, program, '--use_horovod', *evaluation, *folders('two'))
    assert two.count('images: 360/360') == 1
    results = [
        json.loads((tmp_path / part / 'eval_results.json').read_text()) for part in ('one', 'two')
    ]
    assert results[0] == results[1]
    assert f'Accuracy: {results[0]["accuracy"]:.4f}' in one
    # The rows of both workers are brought together, in the order of the records.
    reports = [tmp_path / part / 'report' for part in ('one', 'two')]
    for name in ('classes.csv', 'confusion_matrix.csv'):
        assert (reports[0] / name).read_text() == (reports[1] / name).read_text(), name
    first, second = (
        list(csv.DictReader((folder / 'predictions.csv').read_text().splitlines()))
        for folder in reports
    )
    # Workers have fewer threads, which round otherwise: by one in the last of six digits.
    for key in ('image', 'file', 'record', 'label', 'predicted_1'):
        assert [row[key] for row in first] == [row[key] for row in second], key
    shares = [[float(row['probability']) for row in rows] for rows in (first, second)]
    assert shares[0] == pytest.approx(shares[1], abs=1.5e-6)


@pytest.mark.once
@pytest.mark.slow
def test_a_wrong_number_of_workers_is_said(cache, digits, tmp_path):
    mpirun(
        cache,
        str(processes.ROOT / 'train_image_classifier.py'),
        '--use_horovod',
        '--num_workers=3',
        f'--dataset_dir={digits}',
        f'--train_dir={tmp_path / "run"}',
        code=2,
    )
    assert not (tmp_path / 'run').exists()


def test_the_launcher_shows_the_command_and_keeps_the_epochs_of_the_sample(script):
    shown = script(
        'demo_mobilenetv2.py',
        '--use_horovod',
        '--num_workers=4',
        '--computation_type=train',
        '--dry_run',
    )
    (line,) = (line for line in shown.stdout.splitlines() if 'mpirun' in line)
    words = shlex.split(line)
    assert words[words.index('-np') + 1] == '4'
    flags = dict(word.removeprefix('--').split('=', 1) for word in words if '=' in word)
    assert flags['max_number_of_steps'] == '500'
    assert float(flags['batch_norm_decay']) == pytest.approx(0.99**4)
