"""What one of two processes does in ``test_save_processes``: ``save_process.py rank port folder``.

It saves what lies over both, restores it onto another mesh, and is refused what is not alike.
Then it makes a run that goes on, and back, while the processes see the folder differently.
"""

import json
import os
import sys


def main(rank, port, folder):
    import jax

    jax.config.update("jax_num_cpu_devices", 2)
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank, initialization_timeout=60)

    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import NamedSharding, PartitionSpec

    import jaxaccel as ja

    devices = np.array(jax.devices())
    mesh = jax.sharding.Mesh(devices.reshape(2, 2), ("x", "y"))
    other = jax.sharding.Mesh(devices[[3, 1, 2, 0]], ("z",))
    whole, found = np.arange(32.0, dtype=np.float32).reshape(8, 4), {}

    def on(mesh, *spec, array=whole):
        place = NamedSharding(mesh, PartitionSpec(*spec))
        return jax.make_array_from_callback(array.shape, place, lambda index: array[index])

    key = jax.random.wrap_key_data(on(mesh, array=np.arange(2, dtype=np.uint32)))
    tree = {
        "split": on(mesh, "x", "y"),
        "same": on(mesh),
        "halves": on(mesh, None, "x"),
        "key": key,
        "alone": jnp.arange(3),
        "numpy": np.arange(3),
        "none": on(mesh, array=np.zeros((0, 4), np.float32)),
        "epoch": 3,
    }
    for step in (1, 2):
        saving = ja.training.save(folder, tree, step=step, keep_last=1, wait=False)
    saving.wait()
    like = tree | {
        "split": jax.ShapeDtypeStruct((8, 4), np.float32, sharding=on(other, None, "z").sharding),
        "same": jax.ShapeDtypeStruct((8, 4), np.float32, sharding=on(other, "z").sharding),
    }
    saved = ja.training.restore(folder, like)

    def is_whole(array):
        return all(np.array_equal(s.data, whole[s.index]) for s in array.addressable_shards)

    new = saved.tree
    found["steps"] = ja.training.saved_steps(folder)
    found["whole"] = [is_whole(new[name]) for name in ("split", "same", "halves")]
    found["places"] = [new[name].sharding == like[name].sharding for name in ("split", "same")]
    found["key"] = np.asarray(jax.random.key_data(new["key"]).addressable_data(0)).tolist()
    found["alone"] = [np.asarray(new[name]).tolist() for name in ("alone", "numpy")]
    found["none"] = [new["none"].shape, new["none"].sharding == tree["none"].sharding]
    found["epoch"] = new["epoch"]
    for name, call in {
        "not alike": lambda: ja.training.save(folder, tree | {"numpy": np.array(rank)}, step=3),
        "again": lambda: ja.training.save(folder, tree, step=2),
        "another": lambda: ja.training.restore(folder, {"epoch": 0}),
    }.items():
        try:
            call()
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    start = on(mesh, array=np.zeros(2, np.float32))
    found["run"] = run_while_views_differ(rank, f"{folder}.run", start)
    with open(f"{folder}.{rank}.json", "w") as file:
        json.dump(found, file)


def run_while_views_differ(rank, folder, start):
    """Return where a run ends; process 0 commits late, and process 1 sees no save at all."""
    import time

    import jaxaccel as ja
    from jaxaccel.training import _saved_files as files

    seal, nan = files.seal, float("nan")

    def late(directory):
        time.sleep(0.3)
        seal(directory)

    files.seal = late
    if rank == 1:
        files.complete_saves = lambda folder: {}
    for epochs in (1, 2):
        state, history = ja.training.fit(
            lambda state, batch: (state + batch, {"loss": batch}),
            start,
            lambda epoch: [[1.0, 1.0], [nan, 1.0, 1.0]][epoch],
            epochs=epochs,
            callbacks=[
                ja.training.roll_back_on_nan(folder, steps=1),
                ja.training.save_every(folder, steps=2),
                ja.training.save_every(folder, epochs=1),
            ],
            progress=False,
            resume=folder,
        )
    return [len(history.epochs), state.addressable_data(0).tolist()]


if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
