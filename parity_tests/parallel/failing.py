"""What the processes do that ``test_launch`` starts, at each attempt something else."""

import os
import signal
import sys
import time


def main(folder):
    import jax

    import jaxaccel as ja

    found = ja.parallel.initialize(timeout=60, watchdog=4.0)
    print(f"{found}\n{len(jax.local_devices())} local devices, {jax.device_count()} in all")
    attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    import numpy as np

    place = jax.sharding.NamedSharding(ja.parallel.make_mesh(), jax.sharding.PartitionSpec())
    total = jax.jit(lambda x: x.sum(), out_shardings=place)
    with ja.parallel.watchdog(timeout=4.0) as beat:
        for step in range(6):
            rows = np.arange(3.0) + found.process_id
            total(ja.parallel.shard_batch(rows, place.mesh))
            beat(step, saved=f"{folder}/{step}" if step == 3 else None)
            time.sleep(0.5)  # what was beaten has been told
            if step == 4 and found.process_id == 1:
                FAULTS[attempt]()


def hang():
    time.sleep(1000)


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def fail():
    raise ArithmeticError("of process 1")


FAULTS = (hang, stop, fail)


if __name__ == "__main__":
    main(sys.argv[1])
