"""benchmarks/detection_step.py and detection_accuracy.py: what they compare is comparable."""

import argparse
import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from detection.truth import PictureTruth

BENCHMARKS = pathlib.Path(__file__).parents[2] / 'benchmarks'


@pytest.fixture
def benchmark_module(monkeypatch):
    """Imports one by its name."""

    def load(name):
        monkeypatch.setattr(sys, 'path', ['', *sys.path])  # As a script, it changes the first.
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.once
def test_costs_are_shares_of_the_step_alone_turn_by_turn(benchmark_module):
    found = {
        'alone': [(1.0, 2.0), (4.0, 4.0), (2.0, 2.0)],
        'detector': [(1.5, 2.2), (4.4, 4.0), (4.0, 4.0)],
        'matching': [(0.1, 0.1), (0.4, 0.8), (0.6, 0.2)],
    }
    shares = benchmark_module('detection_step').shares(found)
    assert shares == {
        'detector': pytest.approx((0.5, 0.1)),
        'matching': pytest.approx((0.1, 0.1)),
    }


@pytest.mark.once
@pytest.mark.slow
def test_both_steps_train_the_same_network(benchmark_module, monkeypatch):
    module = benchmark_module('detection_step')
    arguments = argparse.Namespace(
        model_name='mobilenetdet',
        width_multiplier=0.1,
        height=32,
        width=64,
        batch_size=2,
        learning_rate=1e-3,
        repeats=1,
    )
    monkeypatch.setattr(module, 'WARM_UP', 0)
    graphs = []
    session_of = tf.Session
    monkeypatch.setattr(
        tf, 'Session', lambda graph: graphs.append(graph) or session_of(graph=graph)
    )
    found = module.measure(arguments)
    assert list(found) == ['alone', 'detector', 'matching']
    assert all(clock > 0 and len(turns) == 1 for turns in found.values() for clock, _ in turns)
    alone, detector, matching = graphs
    learned = [[one.op.name for one in learning(graph)] for graph in (alone, detector)]
    assert learned[0] == learned[1] and len(learned[0]) > 80
    losses = [graph.get_collection(tf.GraphKeys.LOSSES) for graph in (alone, detector)]
    assert [len(one) for one in losses] == [1, 3]
    decays = [
        graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES) for graph in (alone, detector)
    ]
    assert len(decays[0]) == len(decays[1]) > 0
    assert not learning(matching)


def learning(graph):
    return graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES)


@pytest.mark.once
def test_the_prior_says_what_the_pictures_have_in_the_mean(benchmark_module):
    said = benchmark_module('detection_accuracy').said

    def picture(*objects):
        boxes = np.array([box for _, box in objects], np.float64).reshape(-1, 4)
        count = len(objects)
        return PictureTruth(
            'one',
            boxes,
            [name for name, _ in objects],
            np.zeros(count),
            np.zeros(count, np.int64),
            np.zeros(count, bool),
        )

    there, beside = [100.0, 40.0, 180.0, 80.0], [104.0, 44.0, 184.0, 84.0]
    pictures = [
        picture(('Car', there), ('Van', [0.0, 0.0, 50.0, 50.0])),
        picture(('Car', beside), ('Pedestrian', there)),
        picture(),
        picture(('Car', [300.0, 40.0, 330.0, 60.0])),
    ]
    found = said(pictures, ['Pedestrian', 'Car'], 128, 384)
    order = np.argsort(found.boxes[:, 0] + 1000 * (np.array(found.types) == 'Car'))
    np.testing.assert_allclose(
        found.boxes[order],
        [there, [102.0, 42.0, 182.0, 82.0], [300.0, 40.0, 330.0, 60.0]],
    )
    assert [found.types[number] for number in order] == ['Pedestrian', 'Car', 'Car']
    np.testing.assert_allclose(found.scores[order], [0.25, 0.5, 0.25])


@pytest.mark.once
@pytest.mark.parametrize('name', ['detection_step', 'detection_accuracy'])
def test_help_needs_no_tensorflow(name):
    command = [sys.executable, '-X', 'importtime', str(BENCHMARKS / f'{name}.py'), '--help']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith('usage:')
    assert '| tensorflow' not in done.stderr
