"""Every key of the configurations: it is read, noted or refused, as the pages say."""

import functools

import pytest

import jaxaccel as ja
from jaxaccel.interop import _deepspeed_keys, _fsdp_keys
from parity_tests.harness.documents import ROOT, load_extension

READ = {
    "DeepSpeed": (
        _deepspeed_keys.KEYS,
        functools.partial(ja.interop.from_deepspeed_config, world_size=8),
        {"train_batch_size": 8},
    ),
    "accelerate": (_fsdp_keys.KEYS, ja.interop.from_fsdp_config, {}),
}


def config_of(path, value):
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


@pytest.mark.quick
@pytest.mark.parametrize("whose", READ)
def test_every_key_does_what_its_kind_says(whose):
    """A value that asks for something is noted or refused, whatever the section is."""
    keys, read, base = READ[whose]
    for path, key in keys.items():
        asking = config_of(path, "cpu" if path.endswith(".device") else "asks for something")
        if key.kind == "refused":
            with pytest.raises(ValueError, match=rf"{path} = .*: "):
                read({**base, **asking})
            for harmless in (None, False, {}, {"enabled": False}, *key.harmless):
                assert read({**base, **config_of(path, harmless)}).notes == (), (path, harmless)
        elif key.kind == "noted":
            assert read({**base, **asking}).notes == (f"{path}: {key.text}",)
            for harmless in (None, {}, *key.harmless):
                assert read({**base, **config_of(path, harmless)}).notes == (), (path, harmless)


@pytest.mark.quick
@pytest.mark.parametrize("whose", READ)
def test_what_is_unknown_is_named_with_the_nearest(whose):
    keys, read, base = READ[whose]
    for path in keys:
        section, _, name = path.rpartition(".")
        wrong = config_of(f"{section}.{name}_" if section else f"{name}_", 1)
        with pytest.raises(ValueError, match=rf"{name}_'; did you mean '{name}'\?"):
            read({**base, **wrong})


@pytest.mark.quick
def test_the_page_has_every_key():
    """When it has not: ``python docs/_ext/config_keys.py``."""
    page = (ROOT / "docs/deepspeed.md").read_text(encoding="utf-8")
    assert load_extension("config_keys").with_tables(page) == page
    for keys, *_ in READ.values():
        for path in keys:
            assert f"`{path}`" in page
