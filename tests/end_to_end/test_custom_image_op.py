"""The compiled image operation through the scripts."""

import subprocess
import sys
import sysconfig

import processes
import pytest

IMAGES = [*processes.PLAIN, '--preprocessing_name=inception']


@pytest.mark.once
@pytest.mark.slow
def test_it_is_said_and_switched_off_and_changes_no_result(script, digits, tmp_path):
    losses, results = [], []
    for flag, note in [
        ('--custom_image_op', 'images by the compiled operation\n'),
        ('--nocustom_image_op', ''),
    ]:
        shown = script(
            'train_image_classifier.py',
            f'--dataset_dir={digits}',
            f'--train_dir={tmp_path / flag}',
            '--max_number_of_steps=1',
            '--log_every_n_steps=1',
            '--train_image_size=32',
            flag,
            *IMAGES,
        ).stdout
        assert ('images by' in shown) == bool(note)
        assert note in shown
        losses.append(float(shown.split('global step 1: loss = ')[1].split()[0]))
        shown = script(
            'eval_image_classifier.py',
            f'--dataset_dir={digits}',
            f'--checkpoint_path={tmp_path / "--custom_image_op"}',
            f'--eval_dir={tmp_path / flag / "eval"}',
            '--eval_image_size=32',
            flag,
            *IMAGES,
        ).stdout
        assert ('images by' in shown) == bool(note)
        assert note in shown
        results.append([line for line in shown.splitlines() if 'Accuracy' in line])
    assert losses[0] == pytest.approx(losses[1], abs=1.01e-4)  # one in the last digit
    assert results[0] == results[1] != []


@pytest.mark.slow
@pytest.mark.once
def test_where_it_is_not_built_training_says_how(digits, cache, tmp_path):
    """In another environment, which has the packages of this one and no operation."""
    environment = tmp_path / 'env'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(environment)], check=True)
    [site] = environment.glob('lib/python*/site-packages')
    (site / 'packages.pth').write_text(sysconfig.get_path('purelib') + '\n')
    done = subprocess.run(
        [
            str(environment / 'bin' / 'python'),
            str(processes.ROOT / 'train_image_classifier.py'),
            f'--dataset_dir={digits}',
            f'--train_dir={tmp_path / "run"}',
            '--max_number_of_steps=1',
            '--train_image_size=32',
            *IMAGES,
        ],
        cwd=tmp_path,
        env=processes.user_environment(cache),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (
        "images by TensorFlow's operations; python3 -m preprocessing.image_op builds" in done.stdout
    )
