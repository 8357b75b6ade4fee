"""pytest plugin: the fixture ``zdr`` and the marker ``zdr_workspace``.

``zdr`` puts the gate in place for one test and gives capturing exporters to hang on providers::

    @pytest.mark.zdr_workspace("clinic-7")
    def test_prompts_stay_here(zdr):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(zdr.span_exporter))
        answer(zdr.canary("prompt"), tracer_provider=provider)  # the application under test
        zdr.assert_no_content()  # fails where nothing was exported, too

With the marker, the test runs inside ``otel_zdr.workspace(id)`` and only that workspace is under ZDR;
without it, everything is. Nothing of OpenTelemetry is imported before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from otel_zdr.settings import Settings
    from otel_zdr.testing import CapturingLogExporter, CapturingMetricExporter, CapturingSpanExporter


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers", "zdr_workspace(id): run the test inside otel_zdr.workspace(id), the only one under ZDR"
    )


class ZDR:
    """What the fixture ``zdr`` gives.

    Attributes:
        span_exporter, log_exporter, metric_exporter: exporters that serialise to OTLP bytes in ``export()``.
        settings: what the gate enforces.
    """

    def __init__(self, settings: Settings) -> None:
        from otel_zdr import testing

        self.settings = settings
        self.span_exporter: CapturingSpanExporter = testing.CapturingSpanExporter()
        self.log_exporter: CapturingLogExporter = testing.CapturingLogExporter()
        self.metric_exporter: CapturingMetricExporter = testing.CapturingMetricExporter()
        self._canaries: list[str] = []

    def canary(self, kind: str = "content") -> str:
        """A unique text for content; :meth:`assert_no_content` looks for it."""
        from otel_zdr import testing

        self._canaries.append(testing.canary(kind))
        return self._canaries[-1]

    @property
    def data(self) -> bytes:
        """All OTLP bytes exported so far, of all signals."""
        return self.span_exporter.data + self.log_exporter.data + self.metric_exporter.data

    def assert_no_content(self, *texts: str, may_be_empty: bool = False) -> None:
        """Fail if a canary of this fixture, or one of ``texts``, was exported in any form.

        Args:
            texts: further texts that the application handled.
            may_be_empty: pass where nothing was exported, or where there was no canary and no text. Without it
                both are failures: such a test would hold without the gate.
        """
        from otel_zdr import testing

        testing.assert_no_content(self.data, [*self._canaries, *texts], may_be_empty=may_be_empty)

    def assert_metadata_kept(self, *values: str) -> None:
        """Fail if one of ``values`` was not exported."""
        from otel_zdr import testing

        testing.assert_metadata_kept(self.data, values)


@pytest.fixture
def zdr(request: pytest.FixtureRequest) -> Iterator[ZDR]:
    """The gate in place for this test, and exporters that capture what passes it."""
    import otel_zdr
    from otel_zdr import testing

    marker: Any = request.node.get_closest_marker("zdr_workspace")
    ids = [str(id_) for id_ in marker.args] if marker is not None else []
    settings = otel_zdr.Settings(workspaces=tuple(ids)) if ids else otel_zdr.Settings()
    testing.uninstall()
    otel_zdr.install(settings)
    entered = [otel_zdr.workspace(id_) for id_ in ids]
    for workspace in entered:
        workspace.__enter__()
    try:
        yield ZDR(settings)
    finally:
        for workspace in reversed(entered):
            workspace.__exit__(None, None, None)
        testing.uninstall()
