"""The report as text: Markdown, LaTeX, terminal, and the sentences they share."""
