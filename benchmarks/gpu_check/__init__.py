"""Check a graphics card: ``make gpu-check``, or ``python -m benchmarks.gpu_check``; see CONTRIBUTING.md."""
