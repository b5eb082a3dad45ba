"""A script: trains the tiny network on the digits and writes its weights and history.

Arguments: the folder of the run, a file for the result, then KEY=VALUE of `tiny.params`. Under
mpirun the file is that of rank 0.
"""

import json
import os
import sys

import numpy as np
import tiny

from slim import errors


def main() -> None:
    from mobilenet import mobilenet_trainer

    folder, result, *settings = sys.argv[1:]
    values = {}
    for setting in settings:
        name, _, value = setting.partition('=')
        values[name] = json.loads(value)
    tiny.use(batch_norm=False, dropout=values.get('dropout_rate', 0.0))
    history = mobilenet_trainer.train_and_eval(tiny.params(folder, **values))
    if os.environ.get('OMPI_COMM_WORLD_RANK', '0') == '0':
        weights = {f'w{place}': value for place, value in enumerate(history.model.get_weights())}
        np.savez(result, **weights, **{name: np.array(v) for name, v in history.history.items()})


if __name__ == '__main__':
    try:
        main()
    except errors.SuiteError as error:
        sys.exit(f'error: {error}')
