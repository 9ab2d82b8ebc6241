"""Column pi_p: the prior. Where do candidate actions come from?

The interface of the column is `Prior` (base.py), that of a model of others' policy is
`Model` (behavior.py); all other classes are final.
"""

from coadapt.factors.pi_p.base import Prior as Prior
from coadapt.factors.pi_p.base import Shape as Shape
from coadapt.factors.pi_p.behavior import VAE as VAE
from coadapt.factors.pi_p.behavior import Behavior as Behavior
from coadapt.factors.pi_p.behavior import Clone as Clone
from coadapt.factors.pi_p.behavior import Model as Model
from coadapt.factors.pi_p.priors import Ignored as Ignored
from coadapt.factors.pi_p.priors import Mixture as Mixture
from coadapt.factors.pi_p.priors import OnPolicy as OnPolicy
from coadapt.factors.pi_p.priors import Policy as Policy
from coadapt.factors.pi_p.priors import Posterior as Posterior
from coadapt.factors.pi_p.priors import Uniform as Uniform

PiP = Policy | OnPolicy | Posterior | Mixture | Uniform | Ignored | Behavior
