"""The arithmetic of a loss scale: multiplied, taken off gradients, grown and reduced."""

import torch


def scaled(output, scale):
    """Return an output times the scale: one number in at least float32, a tensor in its dtype."""
    return output * scale


def unscaled(grad, scale):
    """Return a gradient times the inverse of the scale, in its dtype, but float16 in float32."""
    inverse = scale.double().reciprocal().float()
    if grad.dtype in (torch.float16, torch.bfloat16):
        product = grad.float() * inverse
        return product if grad.dtype == torch.float16 else product.to(grad.dtype)
    return grad * inverse.to(grad.dtype)


def next_scale(scale, growth_tracker, found_inf, growth_factor, backoff_factor, growth_interval):
    """Return the scale and the count of good steps in a row after one more step."""
    if found_inf:
        return scale * backoff_factor, 0
    successful = growth_tracker + 1
    if successful != growth_interval:
        return scale, successful
    grown = scale * growth_factor
    return grown if torch.isfinite(grown) else scale, 0
