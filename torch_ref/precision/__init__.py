"""The arithmetic of mixed precision, on tensors: to be read beside ``jaxaccel/precision``.

The scaler itself is ``torch.amp.GradScaler``; copies in float32 and rounding at random PyTorch
lacks.
"""

__all__: list[str] = []
