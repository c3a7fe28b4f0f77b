"""Bundles: what a subagent is, how its definition is loaded, checked and begun."""
