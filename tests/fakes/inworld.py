"""Inworld is part of the installed package because `otel-zdr demo` starts it too."""

from otel_zdr.verify.fake_vendors.inworld import add_routes

__all__ = ["add_routes"]
