"""What a run is warned of: no error, and yet rarely meant."""

from __future__ import annotations

from collections.abc import Sequence


class Doubts:
    """What is no error and yet is rarely meant; each is told once."""

    _RATES, _BATCHES, _LOSSES = 3, 10, 100

    def __init__(self, total_steps: int) -> None:
        self._total_steps = total_steps
        self._seen = self._unchanged = 0
        self._loss: float | None = None
        self._constant_told = False
        self._highest_rate = 0.0
        self._labels: list[int] = []

    def look_at(
        self, step: int, loss: float, rate: float, labels: Sequence[int] | None
    ) -> list[str]:
        """The doubts that a step brings up; `labels`: the lowest and the highest of its batch."""
        doubts = []
        self._seen += 1
        self._highest_rate = max(self._highest_rate, abs(rate))
        last = step == self._total_steps
        # A warm-up begins with one step at rate 0.
        if not self._highest_rate and (
            self._seen == self._RATES or (last and self._seen < self._RATES)
        ):
            doubts.append(f'the learning rate is 0 at step {step}: nothing is learnt')
        if labels is not None and self._seen <= self._BATCHES:
            self._labels += [int(label) for label in labels]
            if self._seen == self._BATCHES and min(self._labels) == max(self._labels):
                doubts.append(
                    f'all labels of the first {self._seen} batches are {self._labels[0]}: does the '
                    'set hold one class alone, or its records one class after the other?'
                )
        # Not a number is unequal to itself.
        self._unchanged = self._unchanged + 1 if loss == self._loss else 1
        self._loss = loss
        if self._unchanged == self._LOSSES and not self._constant_told:
            doubts.append(f'the loss has not changed for {self._LOSSES} steps')
            self._constant_told = True
        return doubts
