"""`harness metrics`: the store's part of the metrics, once."""

from __future__ import annotations

import click

from harness.cli.options import Common, common
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole


@click.command("metrics")
@common
def metrics(common: Common) -> int:
    """Show how the sessions of all tenants stand, in the text format of Prometheus.

    These are the metrics that every worker serves alike; what one worker has done is told by itself alone,
    with --metrics-port.
    """

    async def work() -> int:
        from harness.export.address import address
        from harness.metrics.exposition import written
        from harness.metrics.readings import Reading
        from harness.store.gauges import read_gauges

        async with common.harness() as harness:
            spans = address(harness.settings) is not None
            reading = Reading(await read_gauges(await harness.database(), spans=spans))
        if common.as_json:
            for metric, labels, value in reading.samples():
                named = dict(zip(metric.labels, labels, strict=True))
                answer_json({"metric": metric.name, "labels": named, "value": value})
        else:
            answer(written(reading.samples()).rstrip())
        return 0

    return run_whole(work())
