"""Find out what a recipe needs: the learning rate, and which techniques help."""

from jaxaccel._names import teach
from jaxaccel.tuning._lr_find import LRFind, lr_find

__all__ = [
    "lr_find",
    "LRFind",
]

teach(__name__)
