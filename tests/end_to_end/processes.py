"""How the tests start the scripts: environments and flags that they share."""

import os
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).parents[2]
# With batch norm, depthwise layers and dropout. The demo's tests train the wider MobileNetV2.
SMALL = [
    '--model_name=mobilenet_v1_025',
    '--preprocessing_name=digits',
    '--batch_size=16',
]
# For what has nothing to do with the network: its graph is built three times as fast.
PLAIN = ['--model_name=cifarnet', *SMALL[1:]]
# The one run that many tests look at.
TRAINED = [
    *SMALL,
    '--train_image_size=32',
    '--log_every_n_steps=1',
    '--max_number_of_steps=6',
    '--seed=4',
]


def detector_flags(folder):
    """Of the training of the fixture `detector`."""
    return [
        *('--dataset_name=scenes', f'--dataset_dir={folder / "scenes"}', '--device=cpu'),
        *('--image_height=64', '--image_width=160', '--width_multiplier=0.25', '--batch_size=2'),
    ]


def user_environment(cache):
    """The environment of a user who has set nothing of TensorFlow's."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith('TF_')}
    return {**ours, 'TF_SLIM_SUITE_CACHE': str(cache)}


def copy_of_run(train_dir, folder):
    """Copies a run, to be resumed there: its list of checkpoints has whole paths."""
    shutil.copytree(train_dir, folder)
    state = folder / 'checkpoint'
    state.write_text(state.read_text().replace(f'{train_dir}/', f'{folder}/'))


def worker_environment(cache):
    """The environment under mpirun, also for root."""
    return {
        **user_environment(cache),
        'OMPI_ALLOW_RUN_AS_ROOT': '1',
        'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1',
        'OMPI_MCA_mpi_yield_when_idle': '1',
        'PYTHONPATH': str(ROOT),
    }


def mpirun(workers):
    """The start of a command for many workers of this Python."""
    program = pathlib.Path(sys.executable).parent / 'mpirun'
    return [str(program), '-np', str(workers), '--oversubscribe']
