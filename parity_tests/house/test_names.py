"""A wrong name is answered with the right one."""

import json
import re
import subprocess
import sys

import pytest

import jaxaccel as ja
from jaxaccel._names import WORDS, unknown_name

TEACHES = {
    "optim": "ja.optimizers",
    "lr_scheduler": "ja.schedules",
    "amp": "ja.precision",
    "distributed": "ja.parallel",
    "normalization": "ja.functional",
    "activations": "ja.functional",
    "losses": "ja.functional",
    "AdamW": "ja.optimizers.adamw",
    "Generator": "ja.random.Generator",
    "randn": "ja.random.Generator(seed).randn",
    "schedule": "ja.schedules or ja.schedules.wsd_schedule?",
    "nn.functional": "ja.functional",
    "nn.init": "ja.init",
    "nn.cross_entropy": "ja.functional.cross_entropy",
    "functional.CrossEntropyLoss": "ja.nn.CrossEntropyLoss",
    "functional.BCELoss": "ja.nn.BCELoss",
    "nn.ModuleList": "flax.nnx.List",
    "nn.Parameter": "flax.nnx.Param",
    "nn.relu": "ja.functional.relu",
    "nn.Relu": "ja.nn.ReLU",
    "nn.Conv2D": "ja.nn.Conv2d",
    "nn.MultiHeadAttention": "ja.nn.MultiheadAttention",
    "nn.Sequentail": "ja.nn.Sequential?",
    "functional.GELU": "ja.nn.GELU",
    "optimizers.AdamW": "ja.optimizers.adamw",
    "optimizers.SGD": "ja.optimizers.sgd",
    "optimizers.RMSprop": "ja.optimizers.rmsprop",
    "optimizers.rms_prop": "ja.optimizers.rmsprop",
    "optimizers.SparseAdam": "ja.optimizers.sparse_adam",
    "optimizers.CosineAnnealingLR": "ja.schedules.cosine_annealing_lr",
    "optimizers.adammax": "ja.optimizers.adamax",
    "schedules.CosineAnnealingLR": "ja.schedules.cosine_annealing_lr",
    "schedules.OneCycleLR": "ja.schedules.one_cycle_lr",
    "schedules.get_cosine_schedule_with_warmup": "ja.schedules.cosine_schedule_with_warmup",
    "transforms.clip_grad_norm_": "ja.transforms.clip_grad_norm",
    "init.kaiming_uniform_": "ja.init.kaiming_uniform",
    "init.clip_grad_value_": "ja.transforms.clip_grad_value",
    "data.WeightedRandomSampler": "ja.data.weighted_random_sampler",
    "models.ResNet18": "ja.models.resnet18",
    "precision.zzz": "dir(ja.precision)",
    "zzz": "dir(ja)",
}


def ask(path):
    *rooms, name = path.split(".")
    where = getattr(ja, rooms[0]) if rooms else ja
    return getattr(where, name)


@pytest.mark.parametrize("path", TEACHES)
def test_a_wrong_name_is_answered_with_the_right_one(path):
    with pytest.raises(AttributeError) as raised:
        ask(path)
    text = str(raised.value)
    *room, name = path.split(".")
    assert text.startswith(f"module '{'.'.join(['jaxaccel', *room])}' has no attribute '{name}'; ")
    answer = text.partition("; ")[2]
    assert re.search(rf"(?<![\w.]){re.escape(TEACHES[path])}(?!\w)", answer), text


def test_every_room_teaches():
    for room in ja.__all__:
        with pytest.raises(AttributeError, match=r"ja\.optimizers\.adamw"):
            _ = getattr(ja, room).AdamW


def test_private_and_special_names_are_answered_shortly():
    """They are asked for by tools; no room is loaded for that."""
    for name in ("_adamw", "__wrapped__", "_repr_html_"):
        assert str(unknown_name("jaxaccel.optimizers", name)) == (
            f"module 'jaxaccel.optimizers' has no attribute '{name}'"
        )
    assert not hasattr(ja.optimizers, "__wrapped__")


def test_the_words_name_what_exists_and_what_no_rule_finds():
    for word, answer in WORDS.items():
        assert f"; use {answer}" in str(unknown_name("jaxaccel", word)), word
        for room, name in re.findall(r"\bja\.(\w+)(?:\.(\w+))?", answer):
            assert room in ja.__all__, answer
            assert not name or hasattr(getattr(ja, room), name), answer


def test_dir_lists_each_public_name_once():
    code = """
import json, jaxaccel as ja
before = dir(ja)
rooms = {room: dir(getattr(ja, room)) for room in ja.__all__}
print(json.dumps([before, dir(ja), rooms, {r: getattr(ja, r).__all__ for r in ja.__all__}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after, rooms, names = json.loads(done.stdout)
    assert before == after
    for listed, expected in [(after, ja.__all__), *((rooms[room], names[room]) for room in rooms)]:
        assert [name for name in listed if not name.startswith("__")] == sorted(expected)
        assert len(set(listed)) == len(listed)
