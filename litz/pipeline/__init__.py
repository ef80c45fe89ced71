"""One handler per message over one stream: order, admission, supervision and a graceful end (docs/pipeline.md)."""

from litz.pipeline.flow import Flow
from litz.pipeline.item import Item, Outgoing
from litz.pipeline.line import Line
from litz.pipeline.options import PipelineOptions, Way
from litz.pipeline.report import PipelineEnd, PipelineReport
from litz.pipeline.service import Pipeline, open_pipeline, pipeline

__all__ = [
    "Flow",
    "Item",
    "Line",
    "Outgoing",
    "Pipeline",
    "PipelineEnd",
    "PipelineOptions",
    "PipelineReport",
    "Way",
    "open_pipeline",
    "pipeline",
]
