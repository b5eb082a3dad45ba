"""preprocess_imagenet.py and verify_dataset.py as a user runs them, and kills them."""

import io
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import processes
import pytest
from PIL import Image

CONVERT, VERIFY = 'preprocess_imagenet.py', 'verify_dataset.py'
SHARDS = ['--train_shards=12', '--validation_shards=3', '--num_workers=2']
CLASSES = ('n01', 'n02', 'n03')


def _jpeg(seed):
    pixels = np.random.RandomState(seed).randint(0, 256, (24, 32, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'JPEG')
    return file.getvalue()


def _make_tree(raw, per_class):
    """Class folders of `per_class` training images; validation is flat, a third as many."""
    for number, synset in enumerate(CLASSES):
        (raw / 'train' / synset).mkdir(parents=True)
        for i in range(per_class):
            content = _jpeg(number * per_class + i)
            (raw / 'train' / synset / f'{synset}_{i}.JPEG').write_bytes(content)
    (raw / 'validation').mkdir()
    for i in range(per_class):
        (raw / 'validation' / f'val_{i:08d}.JPEG').write_bytes(_jpeg(10**6 + i))
    (raw / 'synset_labels.txt').write_text(''.join(f'{CLASSES[i % 3]}\n' for i in range(per_class)))
    return raw


@pytest.fixture
def raw(tmp_path):
    return _make_tree(tmp_path / 'raw', 8)


@pytest.fixture
def convert(script, tmp_path):
    def convert(raw, *arguments, code=0, output='out'):
        folders = [f'--raw_data_dir={raw}', f'--local_scratch_dir={tmp_path / output}']
        return script(CONVERT, *folders, *SHARDS, *arguments, code=code)

    return convert


def _content(folder):
    files = (path for path in sorted(folder.rglob('*')) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _error_line(finished):
    (line,) = (line for line in finished.stderr.splitlines() if 'error:' in line)
    assert finished.stderr.splitlines()[-1] == line
    return line


def test_convert_and_verify(convert, script, raw, tmp_path):
    made = convert(raw)
    assert 'train: 24 images in 12 shards\nvalidation: 8 images in 3 shards' in made.stdout
    assert made.stderr == ''
    assert 'nothing to do' in convert(raw).stdout
    verified = script(VERIFY, f'--dataset_dir={tmp_path / "out"}', '--num_workers=2')
    rows = [line.split() for line in verified.stdout.splitlines()]
    assert ['train', '12', '24', '24', '0', '0'] in rows
    assert ['validation', '3', '8', '8', '0', '0'] in rows
    assert ['2', '8', '3', 'n02'] in rows
    assert rows[-1] == ['all', 'is', 'well']


def test_what_is_wrong_is_printed_with_file_and_record(convert, script, raw, tmp_path):
    convert(raw)
    paths = sorted((tmp_path / 'out' / 'train').iterdir())
    for path in paths[:3]:
        path.write_bytes(path.read_bytes()[:-5])
    failed = script(VERIFY, f'--dataset_dir={tmp_path / "out"}', '--max_errors=2', code=3)
    for path in paths[:2]:
        assert f'{path}, record 1: the file ends 5 bytes before' in failed.stderr
    assert str(paths[2]) not in failed.stderr
    assert 'has 3 errors, the first are above' in _error_line(failed)


# arguments, what is done to the tree, exit code, words of the message
def _rename_train(raw):
    (raw / 'train').rename(raw / 'training')


def _cut_labels(raw):
    (raw / 'synset_labels.txt').write_text('n01\n' * 7)


def _bad_file(raw):
    (raw / 'train' / 'n02' / 'n02_3.JPEG').write_bytes(_jpeg(5)[:-100])


def _nothing(raw):
    pass


def _unknown_synset(raw):
    (raw / 'synset_labels.txt').write_text('n01\n' * 7 + 'n77\n')


def _empty_class(raw):
    (raw / 'train' / 'n09').mkdir()


def _no_labels(raw):
    (raw / 'synset_labels.txt').unlink()


def _box_of_nothing(raw):
    (raw / 'boxes' / 'n01').mkdir(parents=True)
    (raw / 'boxes' / 'n01' / 'n01_99.xml').touch()


def _records_of_another(raw):
    (raw.parent / 'out' / 'train').mkdir(parents=True)
    (raw.parent / 'out' / 'train' / 'train-00000-of-00001').touch()


def _file_for_folder(raw):
    (raw.parent / 'out').write_text('')


WRONG = [
    ([], _rename_train, 3, ['train/ and validation/', 'found training, validation']),
    ([], _cut_labels, 3, ['has 7 lines', 'has 8 images']),
    ([], _bad_file, 3, ['n02_3.JPEG cannot be read as an image', 'truncated']),
    ([], _unknown_synset, 3, ["'n77'", 'no training folder']),
    ([], _empty_class, 3, ['n09 has no images']),
    ([], _no_labels, 3, ['there is no', 'synset_labels.txt']),
    ([], _records_of_another, 1, ['files of another run: train-00000-of-00001']),
    ([], _file_for_folder, 1, ['cannot be written']),
    (['--bounding_box_dir=BOXES'], _box_of_nothing, 3, ['1 images', 'n01/n01_99.xml']),
    (['--bounding_box_dir=/nowhere'], _nothing, 3, ['/nowhere', '--bounding_box_dir']),
    (['--on_error=ignore'], _nothing, 2, ['on_error', 'fail', 'skip']),
    (['--upright', '--bounding_box_dir=BOXES'], _nothing, 2, ['exclude each other']),
    (['--max_megapixels=0'], _nothing, 2, ['--max_megapixels=0 must be above 0']),
    (['--num_workers=0'], _nothing, 2, ['num_workers']),
    (['--train_shards=0'], _nothing, 2, ['--train_shards must be at least 1']),
]


@pytest.mark.once
@pytest.mark.parametrize(('arguments', 'damage', 'code', 'words'), WRONG)
def test_bad_input_is_one_line(convert, raw, tmp_path, arguments, damage, code, words):
    damage(raw)
    arguments = [argument.replace('BOXES', str(raw / 'boxes')) for argument in arguments]
    line = _error_line(convert(raw, *arguments, code=code))
    for word in words:
        assert word in line
    assert not (tmp_path / 'out' / 'dataset.json').exists()
    assert not list(tmp_path.rglob('.*.tmp'))


def test_skipped_files_are_counted_listed_and_in_the_exit_code(convert, raw, script, tmp_path):
    _bad_file(raw)
    convert(raw, code=3)
    skipped = convert(raw, '--on_error=skip', code=3)
    assert 'train: 1 files could not be read and were left out' in skipped.stdout
    assert '"file": "train/n02/n02_3.JPEG"' in (tmp_path / 'out/conversion_report.json').read_text()
    assert 'train: 23 images in 12 shards' in skipped.stdout
    convert(raw, '--on_error=skip', code=3)
    script(VERIFY, f'--dataset_dir={tmp_path / "out"}')


# Ends in between.


def _start(raw, output, **kwargs):
    return subprocess.Popen(
        [
            sys.executable,
            str(processes.ROOT / CONVERT),
            f'--raw_data_dir={raw}',
            f'--local_scratch_dir={output}',
            *SHARDS,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **kwargs,
    )


@pytest.fixture(scope='module')
def larger(tmp_path_factory):
    """A tree that takes a while, the files of its conversion, and the seconds that it took."""
    folder = tmp_path_factory.mktemp('larger')
    raw = _make_tree(folder / 'raw', 700)
    begin = time.monotonic()
    process = _start(raw, folder / 'whole')
    assert process.wait(300) == 0
    return raw, _content(folder / 'whole'), time.monotonic() - begin


def _survives_kills(larger, output, kills, seed):
    """Kills conversions until `kills` have been killed, lets the next one end, compares bytes."""
    raw, whole, secs = larger
    draw = random.Random(seed)
    killed = 0
    while killed < kills:
        process = _start(raw, output)
        try:
            process.wait(draw.uniform(0, secs))
        except subprocess.TimeoutExpired:
            # The parent alone: its workers have to end by themselves.
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        else:
            assert process.returncode == 0
            assert _content(output) == whole
            _remove(output)
        process.communicate()
        if output.exists() and (output / 'dataset.json').exists():
            assert {n for n in _content(output) if n != 'unfinished.jsonl'} == set(whole)
    process = _start(raw, output)
    assert process.communicate(timeout=300)[1] == ''
    assert process.returncode == 0
    assert _content(output) == whole


def _remove(folder):
    for path in sorted(folder.rglob('*'), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.slow
@pytest.mark.once
def test_kills_change_nothing(larger, tmp_path, exhaustive):
    for number in range(10 if exhaustive else 2):
        # Of five kills, lest the set be finished after a few.
        _survives_kills(larger, tmp_path / str(number), 5, seed=100 + number)


def _wait_for(output, pattern):
    end = time.monotonic() + 60
    while not list(output.glob(pattern)) and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.once
@pytest.mark.parametrize(
    'moment', [pytest.param('unfinished.jsonl', marks=pytest.mark.slow), 'train/train-*']
)
def test_ctrl_c(larger, tmp_path, moment):
    """Of a terminal: every process gets the signal, be it that it has just been started."""
    raw, whole, _ = larger
    output = tmp_path / 'out'
    process = _start(raw, output)
    _wait_for(output, moment)
    time.sleep(0.1)  # at the first moment: processes come up
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert error == f'{CONVERT}: interrupted\n'
    names = set(_content(output))
    assert 'dataset.json' not in names
    assert 'unfinished.jsonl' in names
    assert names - {'unfinished.jsonl'} <= set(whole)  # nor a temporary file
    process = _start(raw, output)
    assert process.communicate(timeout=300)[1] == ''
    assert _content(output) == whole


@pytest.mark.once
def test_a_full_disk(larger, tmp_path):
    """The size of files is limited, which is an error of `write` as a full disk is."""
    raw, whole, _ = larger
    output = tmp_path / 'out'
    limit = min(len(content) for name, content in whole.items() if '-of-' in name) // 2
    process = _start(
        raw,
        output,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        # Python would leave a module half compiled, for good.
        env={**os.environ, 'PYTHONDONTWRITEBYTECODE': '1'},
    )
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    (line,) = error.splitlines()
    assert '-of-' in line and 'cannot be written: File too large' in line
    assert set(_content(output)) == {'unfinished.jsonl'}
    process = _start(raw, output)
    assert process.communicate(timeout=300)[1] == ''
    assert _content(output) == whole


@pytest.mark.once
def test_no_tensorflow_is_needed_to_convert(raw, tmp_path):
    """Each process would take 600 MB and seconds for it."""
    (tmp_path / 'poison').mkdir()
    (tmp_path / 'poison' / 'tensorflow.py').write_text('raise SystemExit("imported")')
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path / 'poison')}
    process = _start(raw, tmp_path / 'out', env=environment)
    assert process.communicate(timeout=60)[1] == ''
    assert process.returncode == 0
