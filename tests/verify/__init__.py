"""Tests of :mod:`otel_zdr.verify`."""
