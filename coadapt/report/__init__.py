"""What a run store found, as a page, pictures and CSVs: `report.make("runs/x")`."""

from coadapt.report.live import watch as watch
from coadapt.report.results import figures as figures
from coadapt.report.results import make as make
from coadapt.report.results import tables as tables
