"""Kernels in C (addon/native) for what numpy cannot do in one pass; whoever uses them can do without."""
