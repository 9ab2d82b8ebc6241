"""Column pi_q: what object is the posterior?

Two interfaces: `Weights` on the prior's actions, which the M-step fits (EM control),
and `Movement` of a parametric posterior along a gradient (KL control).
"""

from coadapt.factors.pi_q.base import Posterior as Posterior
from coadapt.factors.pi_q.base import standardized_if as standardized_if
from coadapt.factors.pi_q.nonparametric import Clip as Clip
from coadapt.factors.pi_q.nonparametric import Episodic as Episodic
from coadapt.factors.pi_q.nonparametric import NonParametric as NonParametric
from coadapt.factors.pi_q.nonparametric import Weights as Weights
from coadapt.factors.pi_q.parametric import Cloning as Cloning
from coadapt.factors.pi_q.parametric import EntropyBonus as EntropyBonus
from coadapt.factors.pi_q.parametric import LikelihoodRatio as LikelihoodRatio
from coadapt.factors.pi_q.parametric import Moved as Moved
from coadapt.factors.pi_q.parametric import Movement as Movement
from coadapt.factors.pi_q.parametric import Parametric as Parametric
from coadapt.factors.pi_q.parametric import Pathwise as Pathwise

PiQ = NonParametric | Episodic | Parametric
