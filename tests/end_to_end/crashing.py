"""Trains one run twice, once in one go and once with kill -9 in between; both must end alike.

  python3 crashing.py DIGITS FOLDER ROUNDS STEPS SEED

STEPS are those of the whole run. FOLDER gets whole/ and crashed/. Each training is a process of its
own, forked from this one, which has imported TensorFlow and started no session. Prints how many
were killed where, as JSON.
"""

import json
import os
import random
import signal
import sys
import time
import traceback

# What a training needs is imported before the forks.
import tensorflow as tf  # noqa: F401

import train_image_classifier
from runtime import app, lookup  # noqa: F401
from runtime.checkpoints import files, listing
from runtime.training import loop  # noqa: F401

_DEADLINE_SECS = 120


def flags(digits, folder, steps):
    return [
        'train_image_classifier.py',
        f'--dataset_dir={digits}',
        f'--train_dir={folder}',
        f'--max_number_of_steps={steps}',
        *('--model_name=lenet', '--train_image_size=12', '--batch_size=8', '--device=cpu'),
        *('--optimizer=momentum', '--learning_rate=0.01', '--moving_average_decay=0.9'),
        *('--save_interval_steps=1', '--keep_checkpoint_max=3', '--seed=7'),
        *('--num_preprocessing_threads=1', '--num_readers=1', '--log_every_n_steps=1'),
    ]


def begin(arguments, log):
    """Starts a training; returns the id of its process."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        app.parse_flags(arguments)
        code = train_image_classifier.main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(child):
    """Whether the training has ended by itself, and well."""
    found, status = os.waitpid(child, os.WNOHANG)
    if found and status:
        raise SystemExit(f'a training has failed with status {status}')
    return bool(found)


def newest(folder):
    return max((c.step or 0 for c in listing.checkpoints(folder)), default=0)


def saving(folder):
    """Whether a save has begun and is not finished."""
    names = set(listing.files(folder))
    return any(
        '.tempstate' in name
        or ('.data-' in name and f'{listing.prefix_of(name)}.index' not in names)
        for name in names
    )


def wait_for(child, what, pause):
    deadline = time.monotonic() + _DEADLINE_SECS
    while not what():
        time.sleep(pause)
        if ended(child):
            raise SystemExit('a training has ended before it was killed')
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            raise SystemExit('nothing more is saved')


def kill_somewhere(child, folder, numbers):
    """Kills the training at a random moment; returns which kind of moment it was."""
    if numbers.random() < 0.2:
        time.sleep(numbers.uniform(0, 1.5))
        moment = 'start'
    else:
        target = newest(folder) + numbers.randrange(1, 4)
        wait_for(child, lambda: newest(folder) >= target, 0.003)
        moment = 'save' if numbers.random() < 0.6 else 'any'
        if moment == 'save':
            wait_for(child, lambda: saving(folder), 0)
        else:
            time.sleep(numbers.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if moment == 'save' and not saving(folder):
        moment = 'any'  # It was finished before the signal came.
    return moment


def main(digits, folder, rounds, steps, seed):
    numbers = random.Random(seed)
    whole, crashed = os.path.join(folder, 'whole'), os.path.join(folder, 'crashed')
    child = begin(flags(digits, whole, steps), f'{folder}/whole.log')
    os.waitpid(child, 0)
    killed = {'start': 0, 'save': 0, 'any': 0}
    for _ in range(rounds):
        child = begin(flags(digits, crashed, steps), f'{folder}/crashed.log')
        killed[kill_somewhere(child, crashed, numbers)] += 1
        for checkpoint in listing.checkpoints(crashed):
            damage = files.damage(checkpoint)
            if damage:
                raise SystemExit(f'{checkpoint.name} is neither complete nor absent: {damage}')
    child = begin(flags(digits, crashed, steps), f'{folder}/crashed.log')
    os.waitpid(child, 0)
    print(json.dumps(killed))


if __name__ == '__main__':
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
