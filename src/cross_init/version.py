"""The version, in one place: read by the build and by --version."""

VERSION = "1.1.0"
