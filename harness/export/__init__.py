"""Spans that have ended, taken from Postgres and delivered to Langfuse or another OpenTelemetry receiver."""
