"""The session of a run: the first values of its variables, on every worker the same."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from runtime.checkpoints import files, starting
from runtime.training.step import Step
from runtime.workers import agreement
from slim import errors


class SessionCreator(tf.train.SessionCreator):
    """Makes the session: fresh values or a checkpoint's, then rank 0's on every worker.

    TensorFlow's own creator asks each variable whether it has a value, which costs seconds.
    """

    session: tf.Session | None = None
    first_step = 0

    def __init__(
        self,
        master: str,
        config: tf.ConfigProto | None,
        start: starting.Start,
        step: Step,
        variables: agreement.Variables,
    ) -> None:
        self._master, self._config, self._start = master, config, start
        self._variables = variables
        self._global_step = tf.train.get_global_step()
        fresh = (
            tf.variables_initializer(start.begun_anew)
            if start.resume_from
            else tf.global_variables_initializer()
        )
        self._initialize = tf.group(fresh, tf.tables_initializer())
        self._start_averages = (
            step.averages.start() if step.averages and start.warm_start_saver else None
        )

    def create_session(self) -> tf.Session:
        if self.session is not None:
            # MonitoredSession would go on with the first values after a lost connection.
            raise errors.SuiteError(
                'The session with the TensorFlow server was lost; start again to resume'
            )
        self.session = tf.Session(self._master, config=self._config)
        self.session.run(self._initialize)
        if self._start.resume_saver and self._start.resume_from:
            files.restore(self._start.resume_saver, self.session, self._start.resume_from)
        if self._start.warm_start_saver and self._start.warm_start_from:
            files.restore(self._start.warm_start_saver, self.session, self._start.warm_start_from)
        if self._start_averages is not None:
            self.session.run(self._start_averages)
        self._variables.make_equal(self.session)
        self.first_step = int(self.session.run(self._global_step))
        return self.session
