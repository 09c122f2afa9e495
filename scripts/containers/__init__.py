"""The container stage: an engine, base images, builds, and the tests of the running system."""
