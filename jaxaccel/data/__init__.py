"""Image sets, batches, and their way to the device and into the compiled step."""

from jaxaccel.data._augment import augment
from jaxaccel.data._batches import batches, epoch_order
from jaxaccel.data._image_set import ImageSet
from jaxaccel.data._load import load
from jaxaccel.data._normalize import normalize
from jaxaccel.data._prefetch import prefetch_to_device
from jaxaccel.data._random_crop import random_crop
from jaxaccel.data._random_horizontal_flip import random_horizontal_flip

__all__ = [
    "ImageSet",
    "load",
    "epoch_order",
    "batches",
    "prefetch_to_device",
    "normalize",
    "random_crop",
    "random_horizontal_flip",
    "augment",
]
