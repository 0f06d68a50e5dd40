"""Figures of a report as PNG and SVG."""
