"""Runs a script as on a machine with a GPU, whose operations the CPU computes in its place.

  python3 software_gpu.py train_image_classifier.py --flags...

The graph, its devices and its precision are those of a GPU; the session finds no such device and
puts everything on the CPU. So the look at the placement is left away.
"""

import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))


def main() -> None:
    from runtime import app
    from runtime.devices import devices, placement

    devices.MISSING['hpu'] = lambda: ['no Gaudi card']
    devices.MISSING['gpu'] = list
    placement.check = lambda graph, partitions: 'operations: all on CPU:0 instead of GPU:0'
    sys.argv = sys.argv[1:]
    script = importlib.import_module(sys.argv[0].removesuffix('.py'))
    app.run(script.main)


if __name__ == '__main__':
    main()
