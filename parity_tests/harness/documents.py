"""The documents and what makes them."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def load_extension(name):
    """Return a module of ``docs/_ext``."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
