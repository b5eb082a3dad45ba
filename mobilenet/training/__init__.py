"""The parts of the trainer: schedules, optimizers, steps, the run's folder."""
