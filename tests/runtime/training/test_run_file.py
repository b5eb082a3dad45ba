"""run.json: a start per run, and what a resumed one has changed."""

import json
import random

import pytest

from runtime.training import run_file
from slim import errors

pytestmark = pytest.mark.once


def start(first_step=0, dataset=(), workers=1, **flags):
    return {
        'first_step': first_step,
        'workers': ['host'] * workers,
        'dataset': {'name': 'digits', 'num_samples': 1437, 'digest': 'aa', **dict(dataset)},
        'flags': {
            **{'learning_rate': 0.045, 'learning_rate_decay_type': 'exponential'},
            **{'max_number_of_steps': 10, 'model_name': 'lenet', 'train_dir': '/a'},
            **flags,
        },
    }


def test_the_same_flags_are_resumed_silently_and_each_start_is_kept(tmp_path):
    assert run_file.begin(str(tmp_path), start()) == []
    assert run_file.begin(str(tmp_path), start(5, train_dir='/b', log_every_n_steps=3)) == []
    starts = run_file.read(str(tmp_path / 'run.json'))
    assert [one['first_step'] for one in starts] == [0, 5]
    assert starts[1]['flags']['train_dir'] == '/b'


def test_a_line_for_each_flag_that_changes_graph_or_schedule(tmp_path):
    run_file.begin(str(tmp_path), start())
    lines = run_file.begin(
        str(tmp_path), start(5, {'num_samples': 900}, 2, learning_rate=0.01, model_name='vgg_16')
    )
    assert lines == [
        '--learning_rate has changed since the start before: 0.045 -> 0.01',
        '--model_name has changed since the start before: "lenet" -> "vgg_16"',
        'data set, num_samples has changed since the start before: 1437 -> 900',
        'number of workers has changed since the start before: 1 -> 2',
    ]
    # A new beginning in the same folder resumes nothing.
    assert run_file.begin(str(tmp_path), start(0, learning_rate=0.5)) == []


@pytest.mark.parametrize(('decay', 'lines'), [('exponential', 0), ('cosine', 1)])
def test_the_last_step_matters_where_the_schedule_ends_there(decay, lines):
    before = start(learning_rate_decay_type=decay)
    now = start(5, learning_rate_decay_type=decay, max_number_of_steps=20)
    assert len(run_file.changes(before, now)) == lines


def test_a_flag_that_the_other_version_does_not_know_is_no_change():
    assert run_file.changes(start(gone=1), start(5, new=2)) == []


def test_the_first_and_the_last_starts_are_kept(tmp_path):
    for step in range(60):
        run_file.begin(str(tmp_path), start(step))
    steps = [one['first_step'] for one in run_file.read(str(tmp_path / 'run.json'))]
    assert steps == [0, *range(11, 60)]


def _mutated(text, numbers):
    """The text with bytes changed, cut off or put in; or other JSON in its place."""
    if numbers.random() < 0.3:
        return json.dumps(_other(numbers, 3)).encode()
    data = bytearray(text)
    for _ in range(numbers.randrange(1, 6)):
        place = numbers.randrange(len(data))
        kind = numbers.randrange(3)
        if kind == 0:
            data[place] = numbers.randrange(256)
        elif kind == 1:
            del data[place : place + numbers.randrange(1, 80)]
        else:
            data[place:place] = numbers.choice([b'[', b'{"a":', b'\x00', b'1e999', b'null', b'"'])
        data = data or bytearray(b' ')
    return bytes(data)


def _other(numbers, depth):
    leaves = [None, True, -1, 1e300, 'x' * 400, '\x1b[2J\n', [], {}, 0]
    if not depth or numbers.random() < 0.2:
        return numbers.choice(leaves)
    keys = ['starts', 'flags', 'dataset', 'workers', 'format', 'learning_rate', 'name']
    if numbers.random() < 0.4:
        return [_other(numbers, depth - 1) for _ in range(numbers.randrange(3))]
    return {key: _other(numbers, depth - 1) for key in numbers.sample(keys, 4)}


def _many(folder, count, seed):
    path = folder / 'run.json'
    run_file.begin(str(folder), start())
    good, numbers = path.read_bytes(), random.Random(seed)
    refused = 0
    for _ in range(count):
        path.write_bytes(_mutated(good, numbers))
        try:
            run_file.read(str(path))
        except errors.DataError as error:
            refused += 1
            assert '\n' not in str(error) and len(str(error)) < 200 + len(str(path))
        path_content = path.read_bytes()
        for line in run_file.begin(str(folder), start(5)):
            assert line.isprintable() and len(line) < 300 + len(str(path)), path_content
        assert run_file.read(str(path))[-1]['first_step'] == 5
    assert count // 3 < refused < count


def test_any_run_json_is_taken_or_refused_with_one_line(tmp_path):
    _many(tmp_path, 1000, seed=4)


@pytest.mark.slow
def test_any_run_json_of_many_is_taken_or_refused_with_one_line(tmp_path):
    _many(tmp_path, 5000, seed=5)


@pytest.mark.parametrize(
    'content',
    [
        b'[' * 100_000,
        b'{"starts": [' + b'{"flags":' * 50_000,
        b'{"starts": [{"dataset": {}, "workers": [], "flags": %b}]}'
        % (b'{"a":' * 400 + b'0' + b'}' * 400),
        b' ' * 5_000_000,
        b'1' * 100_000,
    ],
    ids=['lists', 'objects', 'deep enough to be read', 'huge', 'a number'],
)
def test_deep_and_huge_ones_are_refused(tmp_path, content):
    (tmp_path / 'run.json').write_bytes(content)
    (line,) = run_file.begin(str(tmp_path), start(5))
    assert 'run.json cannot be read' in line
    assert ('has more than 4000000 bytes' in line) == (len(content) > 4_000_000)
    assert run_file.read(str(tmp_path / 'run.json'))[0]['first_step'] == 5
