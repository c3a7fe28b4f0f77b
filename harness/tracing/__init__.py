"""Spans: the timed steps of a session, as rows that are committed with the events they follow from."""
