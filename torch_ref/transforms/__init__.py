"""What happens to gradients and weights on their way, on tensors.

``centralize_gradients`` is what PyTorch lacks; the rest is to be read beside
``jaxaccel/transforms``.
"""

from torch_ref.transforms._centralize_gradients import centralize_gradients
from torch_ref.transforms._clip_grad_norm import clip_grads_with_norm, get_total_norm

__all__ = ["get_total_norm", "clip_grads_with_norm", "centralize_gradients"]
