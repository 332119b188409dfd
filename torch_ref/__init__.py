"""The arithmetic of jaxaccel in PyTorch: the same files, functions and order, one tensor a time.

A bridge for the reader of both worlds. It is not the judge: that is ``torch.optim``, ``torch.nn``
and the rest of PyTorch itself.
"""
