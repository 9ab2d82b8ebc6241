"""The parts of a report's page: what was found, in tables, figures and words."""

from coadapt.report.sections.computed import Report as Report
from coadapt.report.sections.computed import compute as compute
from coadapt.report.sections.returns import file_names as file_names
from coadapt.report.sections.returns import picture_names as picture_names
from coadapt.report.sections.returns import unit_line as unit_line
from coadapt.report.sections.returns import units_of as units_of
from coadapt.report.sections.texts import mean as mean
from coadapt.report.sections.whole_page import facts as facts
from coadapt.report.sections.whole_page import gaps as gaps
from coadapt.report.sections.whole_page import page as page
