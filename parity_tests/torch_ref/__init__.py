"""What PyTorch lacks and torch_ref has, in PyTorch's training loops."""
