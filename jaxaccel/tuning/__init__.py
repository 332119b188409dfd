"""Find out what a recipe needs: the learning rate, and which techniques help."""

from jaxaccel._names import teach
from jaxaccel.tuning._ablate import ablate
from jaxaccel.tuning._ablation import Ablation, Effect
from jaxaccel.tuning._lr_find import lr_find
from jaxaccel.tuning._lr_found import LRFind

__all__ = [
    "lr_find",
    "LRFind",
    "ablate",
    "Ablation",
    "Effect",
]

teach(__name__)
