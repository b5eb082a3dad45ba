"""Starts the scripts as child processes: argument lists, no shell, the child's exit code."""

from __future__ import annotations

import glob
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from runtime import options
from runtime.workers import mpi_command
from slim import errors

_ROOT = str(pathlib.Path(__file__).resolve().parents[2])
# Exit codes after which starting again would end the same way.
_FINAL = (0, errors.UsageError.exit_code, errors.NonFiniteLossError.exit_code)


def script_command(script: str, values: Mapping[str, Any]) -> list[str]:
    """The argument list that runs a script of this project with flags.

    Args:
      script: file name below the project's root, such as 'train_image_classifier.py'.
      values: flag name to value; a flag whose value is None is left out.
    """
    flags = [f'--{name}={value}' for name, value in values.items() if value is not None]
    return [sys.executable, os.path.join(_ROOT, script), *flags]


def for_workers(
    command: Sequence[str], workers: int, device: str, chosen: options.LaunchOptions
) -> list[str]:
    """The argument list that runs a script's command in `workers` processes on this machine.

    Raises:
      UsageError: hosts without enough slots, or this process is a worker itself.
      DeviceError: mpirun is not installed.
    """
    mpi_command.check_no_world(os.environ)
    if workers == 1:
        return list(command)
    return mpi_command.mpi_command(
        mpi_command.find_mpirun(os.environ),
        command,
        workers,
        chosen,
        cores=mpi_command.physical_cores(),
        gpu=device == 'gpu' or (device == 'auto' and bool(glob.glob('/dev/nvidia[0-9]*'))),
        root=os.geteuid() == 0,
        environment=os.environ,
    )


def mpi_environment(chosen: options.LaunchOptions) -> dict[str, str]:
    """What mpirun is told in the environment; what the user has set stays."""
    wanted = {
        # Open MPI otherwise kills the workers one second after SIGTERM, before they have saved.
        'OMPI_MCA_odls_base_sigkill_timeout': str(chosen.stop_grace_secs),
        # Horovod's thread waits in MPI; spinning there, it takes a core from the computation.
        'OMPI_MCA_mpi_yield_when_idle': '1',
    }
    if chosen.visible_modules:
        wanted['HABANA_VISIBLE_MODULES'] = chosen.visible_modules
    return {**wanted, **os.environ}


def run(
    command: Sequence[str], max_restarts: int = 0, environment: Mapping[str, str] | None = None
) -> int:
    """Runs a command to its end; returns its exit code, 128 + n where signal n killed it.

    SIGINT, SIGTERM and SIGHUP to this process go on to the child, which ends in its own way. To
    mpirun the first goes as SIGUSR1, as which it reaches the workers; the others make it cut off
    their output and wait out its time. The code is then 128 + n of the signal n that came.

    A child that failed by itself is started again up to `max_restarts` times, except for a wrong
    command line and for a loss that is not finite, which would come again.

    Args:
      command: the argument list.
      max_restarts: how often to start again.
      environment: of the child; default: that of this process.
    """
    for left in range(max_restarts, -1, -1):
        code, stopped = _run_once(command, environment)
        if stopped or code in _FINAL or not left:
            break
        print(f'exit code {code}: starting again, {left - 1} more time(s) after this', flush=True)
    return code


def _run_once(command: Sequence[str], environment: Mapping[str, str] | None) -> tuple[int, bool]:
    """The exit code, and whether this process got a signal meanwhile."""
    forwarded = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.getsignal(number) for number in forwarded}
    received: list[int] = []
    gently = os.path.basename(command[0]) == 'mpirun'
    # Ctrl-C reaches the child through the terminal's process group; a second copy would stop it
    # before it has saved. In a session of its own the child gets exactly the copy sent here.
    child = subprocess.Popen(command, start_new_session=True, env=environment)

    def forward(number: int, frame: Any) -> None:
        del frame
        received.append(number)
        child.send_signal(signal.SIGUSR1 if gently and len(received) == 1 else number)

    for number in forwarded:
        signal.signal(number, forward)
    try:
        code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if received and gently:
        return 128 + received[0], True
    return (code if code >= 0 else 128 - code), bool(received)
