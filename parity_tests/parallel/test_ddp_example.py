"""The rows of ``examples/ddp.py``, by processes and devices that do not divide its batch."""

import importlib
import types

import jax
import numpy as np
import pytest

import jaxaccel as ja
from parity_tests.harness.documents import ROOT


@pytest.mark.quick
def test_every_number_of_processes_has_the_rows_of_one_batch(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    example = importlib.import_module("ddp")
    labels = np.arange(16)
    images = types.SimpleNamespace(train_images=labels[:, None], train_labels=labels)
    monkeypatch.setattr(ja.parallel, "shard_batch", lambda batch, mesh, whole: batch)
    monkeypatch.setattr(ja.data, "prefetch_to_device", lambda batches: batches)
    options = example.Options(batch_size=6)
    order = ja.data.distributed_sampler(labels, 1, 0, epoch=3)
    expected = [order[k : k + options.batch_size] for k in range(0, 16, options.batch_size)]
    for processes, devices in ((1, 8), (1, 5), (2, 2), (4, 1), (5, 2), (7, 1)):
        mesh, of_all = types.SimpleNamespace(size=processes * devices), []
        monkeypatch.setattr(jax, "process_count", lambda n=processes: n)
        for process in range(processes):
            monkeypatch.setattr(jax, "process_index", lambda n=process: n)
            of_all.append([*example.batches(images, 3, options, mesh)])
        sizes = {len(is_real) for own in of_all for _, is_real in own}
        assert len(sizes) == 1
        assert sizes.pop() % devices == 0
        for rows, parts in zip(expected, zip(*of_all, strict=True), strict=True):
            found = np.concatenate([labels[is_real] for (_, labels), is_real in parts])
            assert sorted(found) == sorted(rows), (processes, devices)
            first = parts[0]
            np.testing.assert_array_equal(first[0][1][first[1]], rows[::processes])
