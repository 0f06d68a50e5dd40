"""Charts of a report: one description each, for the page and as PNG and SVG."""
