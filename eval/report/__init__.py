"""Reports of results: Markdown, LaTeX and JSON, and one HTML page that needs nothing but itself."""

from eval.report.write import write_report

__all__ = ["write_report"]
