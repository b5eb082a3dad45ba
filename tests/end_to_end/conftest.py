"""Scripts run as a user runs them: another process, another working directory."""

import subprocess
import sys

import processes
import pytest

# Does not import TensorFlow: a fresh interpreter is as quick.
WITHOUT_TENSORFLOW = ('preprocess_imagenet.py',)


@pytest.fixture(scope='session')
def cache(make_once):
    return make_once('cache', lambda folder: None)


@pytest.fixture(scope='session')
def digits(cache):
    """Folder of the built-in sample's records."""
    from datasets.conversion import digits

    return digits.ensure_sample(str(cache))


@pytest.fixture(scope='session')
def run_script(server, cache):
    """Runs a script in a folder; checks its exit code; returns its output.

    The process is a fork of one that has imported TensorFlow, a fresh interpreter for `fresh` (see
    script_server.py for what this changes).
    """

    def run(name, *arguments, cwd, code=0, environment=(), timeout=300, fresh=False):
        script = processes.ROOT / name
        how = {
            'cwd': cwd,
            'env': {**processes.user_environment(cache), **dict(environment)},
            'timeout': timeout,
        }
        if fresh or name in WITHOUT_TENSORFLOW:
            command = [sys.executable, str(script), *arguments]
            finished = subprocess.run(command, capture_output=True, text=True, **how)
        else:
            finished = server.run(script, arguments, **how)
        assert finished.returncode == code, finished.stdout + finished.stderr
        assert 'Traceback' not in finished.stderr, finished.stderr
        return finished

    return run


@pytest.fixture
def script(run_script, tmp_path):
    """Runs a script in an empty working directory; checks its exit code; returns its output."""

    def run(name, *arguments, **how):
        return run_script(name, *arguments, cwd=tmp_path, **how)

    return run


@pytest.fixture(scope='session')
def trained(make_once, run_script, digits):
    """Folder of six training steps on the sample, with their output in `stdout`; not to be changed.

    Of the network of processes.SMALL, in a fresh interpreter, with processes.TRAINED.
    """

    def train(folder):
        arguments = [f'--dataset_dir={digits}', f'--train_dir={folder}', *processes.TRAINED]
        done = run_script('train_image_classifier.py', *arguments, cwd=folder, fresh=True)
        (folder / 'stdout').write_text(done.stdout)

    return make_once('trained', train)


@pytest.fixture(scope='session')
def detector(make_once, run_script):
    """Folder with `scenes`, records of four and three pictures, and `run`, two training steps of a
    small detector on them; not to be changed.

    Statistics of batch norm follow quickly: with those that it begins with, all places of a picture
    would have the same scores.
    """

    def train(folder):
        run_script(
            'download_and_convert_data.py',
            *('--dataset_name=scenes', f'--dataset_dir={folder / "scenes"}'),
            *('--scenes_train=4', '--scenes_val=3', '--scene_height=64', '--scene_width=160'),
            cwd=folder,
        )
        done = run_script(
            'train_object_detector.py',
            *processes.detector_flags(folder),
            *('--batch_norm_decay=0.5', f'--train_dir={folder / "run"}', '--max_number_of_steps=2'),
            cwd=folder,
        )
        (folder / 'stdout').write_text(done.stdout)

    return make_once('detector', train)
