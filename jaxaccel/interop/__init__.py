"""Other libraries' configurations, as the parts of a training step here."""

from jaxaccel._names import teach
from jaxaccel.interop._deepspeed_config import DeepSpeedParts, from_deepspeed_config
from jaxaccel.interop._fsdp_config import FSDPParts, from_fsdp_config
from jaxaccel.interop._safetensors import save_safetensors

__all__ = [
    "from_deepspeed_config",
    "DeepSpeedParts",
    "from_fsdp_config",
    "FSDPParts",
    "save_safetensors",
]

teach(__name__)
