"""One module a peer: what to install, and how it joins a pipeline.

Every module offers ``TITLE``, ``REQUIREMENTS`` (pinned) and ``VARIANTS``: a mapping from the name of a
variant to a function ``(exporting, exporter, **provider_arguments) -> TracerProvider`` that builds a provider
on which the peer cleans spans before ``exporting(exporter)``, a stock span processor, gets them.
The peers' packages are imported inside these functions, so that the runner can read the pins without them.
"""
