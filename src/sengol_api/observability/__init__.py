"""What the service tells of itself.

::

    logging.py, sink.py, withheld.py    lines to standard error: their form, their way out, what of errors may stand in them
    events.py, facts.py                 what policies tell, to all three: ``observe(registry, telemetry)``
    metrics/                            families, instruments, what is read when somebody asks, the text for Prometheus
    tracing.py, otel.py                 spans; ``annotate`` and ``inject`` for clients
    trace_context.py                    W3C trace context, with and without spans
    host.py, host_directory.py          the workers of one server to each other: ``host.offer``, ``host.ask``, ``host.keep``
    telemetry.py                        all of it in one object per worker
    repeats.py                          errors that come with every request: the first in full, then their number
    progress.py                         how far work is that is waited for: a bar for a person, lines for a log
"""
