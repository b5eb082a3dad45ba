"""Shows what is there and what is missing for training: per device, and for many workers.

  python3 doctor.py
  python3 doctor.py --device=hpu --use_horovod

Each missing part comes with the command that mends it. Exit codes: 0 the device (and, with
--use_horovod, the workers) can train, 1 something that they need is missing, 2 wrong command line.
"""

from __future__ import annotations

import dataclasses

from runtime import app, flags, options


@dataclasses.dataclass(frozen=True)
class Doctor:
    """What has to work."""

    device: str = options.option(
        'auto', 'device that has to work; auto is content with the CPU', choices=options.DEVICES
    )
    use_horovod: bool = options.option(False, 'many workers have to work as well')


flags.define(Doctor)


def main() -> int:
    """Prints the table; returns the exit code."""
    from runtime import diagnosis

    chosen = flags.read(Doctor)
    findings = diagnosis.examine()
    if diagnosis.has_tensorflow():
        from preprocessing import image_op

        findings.append(diagnosis.image_operation(image_op.load, image_op.BUILD_COMMAND))
    print(diagnosis.table(findings))
    works = diagnosis.can_train(findings, chosen.device, chosen.use_horovod)
    with_workers = ' with many workers' if chosen.use_horovod else ''
    print(f'--device={chosen.device}{with_workers} {"can" if works else "cannot"} train here')
    return 0 if works else 1


if __name__ == '__main__':
    app.run(main)
