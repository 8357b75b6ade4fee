"""The version of the package: read by the build, and quicker to know than the metadata of a distribution."""

VERSION = "0.1.0"
