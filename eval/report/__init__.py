"""Reports of results: a Markdown table, a JSON list, one HTML page that needs nothing but itself."""

from eval.report.write import write_report

__all__ = ["write_report"]
