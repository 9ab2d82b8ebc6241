"""What a run store found, as a page, pictures and CSVs: `report.make("runs/x")`."""

from coadapt.report.results import make as make
