"""How many programs are compiled."""

import jax


def count_compilations(run):
    """Call a function; return how many programs were compiled for it, or read from a cache."""
    found = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        run()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return len(found)
