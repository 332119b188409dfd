"""Image sets, batches, and their way to the device and into the compiled step."""

from jaxaccel._names import teach
from jaxaccel.data._augment import augment
from jaxaccel.data._batch_sampler import batch_sampler
from jaxaccel.data._batches import batches, epoch_order
from jaxaccel.data._color_jitter import color_jitter
from jaxaccel.data._cutmix import cutmix
from jaxaccel.data._data_loader_order import DataLoaderState, data_loader_order
from jaxaccel.data._distributed_sampler import distributed_sampler
from jaxaccel.data._image_set import ImageSet
from jaxaccel.data._load import load
from jaxaccel.data._mixup import mixup
from jaxaccel.data._normalize import normalize
from jaxaccel.data._pad_sequence import bucket_size, pad_sequence
from jaxaccel.data._pad_to_bucket import pad_to_bucket
from jaxaccel.data._prefetch import prefetch_to_device
from jaxaccel.data._random_choice import random_choice
from jaxaccel.data._random_crop import random_crop
from jaxaccel.data._random_erasing import random_erasing
from jaxaccel.data._random_flip import random_horizontal_flip, random_vertical_flip
from jaxaccel.data._random_resized_crop import random_resized_crop
from jaxaccel.data._random_sampler import random_sampler
from jaxaccel.data._random_split import random_split
from jaxaccel.data._weighted_random_sampler import weighted_random_sampler
from jaxaccel.data._worker_seeds import WorkerSeeds, worker_seeds

__all__ = [
    "ImageSet",
    "load",
    "epoch_order",
    "batches",
    "random_sampler",
    "weighted_random_sampler",
    "distributed_sampler",
    "batch_sampler",
    "random_split",
    "data_loader_order",
    "DataLoaderState",
    "worker_seeds",
    "WorkerSeeds",
    "pad_sequence",
    "bucket_size",
    "pad_to_bucket",
    "prefetch_to_device",
    "normalize",
    "random_crop",
    "random_resized_crop",
    "random_horizontal_flip",
    "random_vertical_flip",
    "color_jitter",
    "random_erasing",
    "mixup",
    "cutmix",
    "random_choice",
    "augment",
]

teach(__name__)
