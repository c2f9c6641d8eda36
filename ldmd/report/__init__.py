"""The report of a case: one offline HTML page for people, one dictionary of numbers for programs."""

from ldmd.report.contents import ReportContents
from ldmd.report.page import write_report
from ldmd.report.summary import summary

__all__ = ["ReportContents", "summary", "write_report"]
