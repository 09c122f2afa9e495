"""What `benchmarks/controller.py` starts: engines that answer at once, and the controller's own processes beside them."""
