"""Column pi_theta: what distribution do the network's outputs make?

The interface of the column is `Distribution` (base.py), that of a std is `ScaleRule`
(scales.py); all other classes are final.
"""

from coadapt.factors.pi_theta.base import Distribution as Distribution
from coadapt.factors.pi_theta.beta import Beta as Beta
from coadapt.factors.pi_theta.beta import Concentrations as Concentrations
from coadapt.factors.pi_theta.deterministic import Deterministic as Deterministic
from coadapt.factors.pi_theta.deterministic import Point as Point
from coadapt.factors.pi_theta.gaussian import Gaussian as Gaussian
from coadapt.factors.pi_theta.gaussian import TanhGaussian as TanhGaussian
from coadapt.factors.pi_theta.mixture import Components as Components
from coadapt.factors.pi_theta.mixture import MixtureOfGaussians as MixtureOfGaussians
from coadapt.factors.pi_theta.normal import Normal as Normal
from coadapt.factors.pi_theta.normal import clip_noise as clip_noise
from coadapt.factors.pi_theta.normal import normal_entropy as normal_entropy
from coadapt.factors.pi_theta.normal import normal_explored as normal_explored
from coadapt.factors.pi_theta.normal import normal_kl as normal_kl
from coadapt.factors.pi_theta.normal import normal_kls as normal_kls
from coadapt.factors.pi_theta.normal import normal_log_prob as normal_log_prob
from coadapt.factors.pi_theta.normal import normal_sample as normal_sample
from coadapt.factors.pi_theta.scales import ConstantStd as ConstantStd
from coadapt.factors.pi_theta.scales import FeatureStd as FeatureStd
from coadapt.factors.pi_theta.scales import LearnedLogStd as LearnedLogStd
from coadapt.factors.pi_theta.scales import LearnedStd as LearnedStd
from coadapt.factors.pi_theta.scales import Residual as Residual
from coadapt.factors.pi_theta.scales import Scale as Scale
from coadapt.factors.pi_theta.scales import ScaleRule as ScaleRule
from coadapt.factors.pi_theta.scales import StateLogStd as StateLogStd
from coadapt.factors.pi_theta.scales import StateSoftplusStd as StateSoftplusStd
from coadapt.factors.pi_theta.softmax import Categorical as Categorical
from coadapt.factors.pi_theta.softmax import Softmax as Softmax

PiTheta = Gaussian | TanhGaussian | Deterministic | Softmax | Beta | MixtureOfGaussians
