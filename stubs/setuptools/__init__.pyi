"""What tools/build_backend.py takes of setuptools, which has types in its newer versions only."""
