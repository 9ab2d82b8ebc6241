"""Column G estimate: how is G fitted?

Two interfaces (base.py): a `OneStepEstimate` bootstraps from a slow copy of the critic,
after the steps that a replay gave; a `SequenceEstimate` sums along whole sequences.
"""

from coadapt.factors.g_estimate.base import Critics as Critics
from coadapt.factors.g_estimate.base import Discount as Discount
from coadapt.factors.g_estimate.base import Estimate as Estimate
from coadapt.factors.g_estimate.base import OneStepEstimate as OneStepEstimate
from coadapt.factors.g_estimate.base import SequenceEstimate as SequenceEstimate
from coadapt.factors.g_estimate.dual_value import DualValue as DualValue
from coadapt.factors.g_estimate.one_step import TD0 as TD0
from coadapt.factors.g_estimate.one_step import NextCloning as NextCloning
from coadapt.factors.g_estimate.one_step import Retrace as Retrace
from coadapt.factors.g_estimate.one_step import Smoothing as Smoothing
from coadapt.factors.g_estimate.sequences import GAE as GAE
from coadapt.factors.g_estimate.sequences import MonteCarlo as MonteCarlo
from coadapt.factors.g_estimate.sequences import NoEstimate as NoEstimate
from coadapt.factors.g_estimate.sequences import NStep as NStep
from coadapt.factors.g_estimate.sequences import TDLambda as TDLambda

OneStep = TD0 | Retrace
Sequence = TDLambda | GAE | NStep | MonteCarlo | DualValue | NoEstimate
GEstimate = OneStep | Sequence
