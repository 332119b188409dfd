"""Other libraries' configurations, as the parts of a training step here."""

from jaxaccel._names import teach
from jaxaccel.interop._deepspeed_config import DeepSpeedParts, from_deepspeed_config
from jaxaccel.interop._fsdp_config import FSDPParts, from_fsdp_config
from jaxaccel.interop._safetensors import save_safetensors
from jaxaccel.interop._transformers_gpt2 import from_transformers_gpt2, to_transformers_gpt2

__all__ = [
    "from_deepspeed_config",
    "DeepSpeedParts",
    "from_fsdp_config",
    "FSDPParts",
    "save_safetensors",
    "from_transformers_gpt2",
    "to_transformers_gpt2",
]

teach(__name__)
