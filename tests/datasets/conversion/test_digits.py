from __future__ import annotations

import collections
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from datasets import dataset_factory
from datasets.conversion import digits
from datasets.records import description
from slim.errors import DataError, OutputError

pytestmark = pytest.mark.once

_REPOSITORY = str(pathlib.Path(__file__).resolve().parents[3])


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    """A cache with a whole sample; tests that change something copy it."""
    cache = tmp_path_factory.mktemp('cache')
    digits.ensure_sample(str(cache), progress=lambda message: None)
    return cache


@pytest.fixture
def own_cache(cache, tmp_path):
    return shutil.copytree(cache, tmp_path / 'cache')


def _ensure(cache):
    messages = []
    return digits.ensure_sample(str(cache), messages.append), messages


def test_every_digit_is_in_one_split(cache, read_back):
    dataset_dir, messages = _ensure(cache)
    assert messages == []  # nothing is written a second time
    seen = {}
    for split, number in (('train', 1437), ('validation', 360)):
        dataset = dataset_factory.get_dataset('imagenet', split, dataset_dir)
        assert (dataset.name, dataset.num_classes, dataset.has_background) == ('digits', 10, False)
        assert dataset.labels_to_names == {label: str(label) for label in range(10)}
        items = read_back(dataset)
        assert len(items) == dataset.num_samples == number
        seen[split] = {item['filename'].decode(): int(item['label']) for item in items}
        assert len(seen[split]) == number
        counts = collections.Counter(seen[split].values())
        assert set(counts) == set(range(10))
        assert max(counts.values()) - min(counts.values()) < number / 40  # in proportion
    # The split is fixed: figures of today and of next year are about the same images.
    first = sorted(seen['validation'])[:6]
    assert first == [f'{number:04d}.jpg' for number in (0, 2, 4, 17, 21, 26)]
    assert not seen['train'].keys() & seen['validation'].keys()
    assert {*seen['train'], *seen['validation']} == {f'{number:04d}.jpg' for number in range(1797)}


def test_labels_are_those_of_the_collection(cache, read_back):
    from sklearn.datasets import load_digits

    target = load_digits().target
    dataset = dataset_factory.get_dataset('imagenet', 'validation', _ensure(cache)[0])
    for item in read_back(dataset):
        assert target[int(item['filename'][:4])] == item['label']


def test_neighbours_in_the_files_are_of_many_classes(cache, read_back):
    dataset = dataset_factory.get_dataset('imagenet', 'train', _ensure(cache)[0])
    labels = [int(item['label']) for item in read_back(dataset)]
    assert len(set(labels[:30])) >= 8


def test_image_files_in_class_folders(cache, read_back):
    dataset_dir, _ = _ensure(cache)
    for split, number in (('train', 1437), ('validation', 360)):
        folder = os.path.join(dataset_dir, 'images', split)
        assert sorted(os.listdir(folder)) == [str(label) for label in range(10)]
        paths = [os.path.join(root, name) for root, _, names in os.walk(folder) for name in names]
        assert len(paths) == number
    with Image.open(paths[0]) as image:
        assert (image.format, image.size, image.mode) == ('JPEG', (32, 32), 'L')
        assert image.getextrema()[1] > 150  # strokes are light on a dark ground


@pytest.mark.slow
@pytest.mark.parametrize(
    'damage',
    [
        'dataset.json',
        'train-00003-of-00008',
        'images/validation/3',
        'cut off',
        'everything',
        'other description',
    ],
)
def test_incomplete_sample_is_rebuilt(own_cache, damage):
    dataset_dir = own_cache / 'digits-v1'
    wanted = {path.relative_to(dataset_dir): path.stat().st_size for path in dataset_dir.rglob('*')}
    victim = dataset_dir / damage
    if damage == 'cut off':
        victim = dataset_dir / 'train-00003-of-00008'
        victim.write_bytes(victim.read_bytes()[:-5])
    elif damage == 'everything':
        shutil.rmtree(dataset_dir)
        dataset_dir.mkdir()
    elif damage == 'other description':
        victim = dataset_dir / 'dataset.json'
        victim.write_text(victim.read_text().replace('1437', '1438'))
    elif victim.is_dir():
        shutil.rmtree(victim)
    else:
        victim.unlink()

    found, messages = _ensure(own_cache)
    assert found == str(dataset_dir)
    assert len(messages) == 1
    found = {path.relative_to(dataset_dir): path.stat().st_size for path in dataset_dir.rglob('*')}
    assert found.keys() == wanted.keys()
    assert found == wanted or damage == 'everything'
    assert _ensure(own_cache)[1] == []


def test_interrupted_build_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(description, 'write_description', interrupted)
    with pytest.raises(KeyboardInterrupt):
        _ensure(tmp_path)
    assert os.listdir(tmp_path) == ['.digits-v1.lock']


def test_what_a_killed_build_left_is_removed(own_cache):
    (own_cache / '.digits-v1.abc' / 'new').mkdir(parents=True)
    (own_cache / 'digits-v1' / 'dataset.json').unlink()
    _ensure(own_cache)
    assert sorted(os.listdir(own_cache)) == ['.digits-v1.lock', 'digits-v1']


@pytest.mark.slow
def test_two_processes_at_once(tmp_path):
    """Both end well with the same folder, and one of them alone has written it."""
    command = [
        sys.executable,
        '-c',
        'import sys\n'
        'from datasets.conversion import digits\n'
        'print(digits.ensure_sample(sys.argv[1]))',
        str(tmp_path),
    ]
    processes = [
        subprocess.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [output.splitlines()[-1] for output in outputs] == [str(tmp_path / 'digits-v1')] * 2
    assert sum('writing the sample' in output for output in outputs) == 1
    assert _ensure(tmp_path)[1] == []


def test_cache_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match='TF_SLIM_SUITE_CACHE'):
        _ensure(tmp_path / 'file' / 'cache')


def test_without_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.datasets', None)
    with pytest.raises(DataError, match='pip install scikit-learn'):
        _ensure(tmp_path)


def test_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv('HOME', '/home/x')
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.delenv('TF_SLIM_SUITE_CACHE', raising=False)
    assert digits.default_cache_dir() == '/home/x/.cache/tf-slim-suite'
    monkeypatch.setenv('XDG_CACHE_HOME', '/caches')
    assert digits.default_cache_dir() == '/caches/tf-slim-suite'
    monkeypatch.setenv('TF_SLIM_SUITE_CACHE', '/mine')
    assert digits.default_cache_dir() == '/mine'
