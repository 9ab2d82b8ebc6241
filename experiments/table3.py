"""Table 3 and Figure 7: a policy under a tanh, and not.

Under a tanh the penalty that keeps actions in the box goes, and without one it comes
(`sweep.change`). A stored action goes back through the tanh as in the authors' library,
without a clip, which is what can end a run (settings 2.9): those variants bear the
paper's names. With the clip is the reading that the claim needs.
"""

from coadapt.experiments.base import Row
from coadapt.experiments.paper import experiment

FREE = {"pi_theta": "Gaussian"}
SAFE = {"pi_theta": "TanhGaussian", "pi_theta.inverse": "safe"}
NAIVE = SAFE | {"pi_theta.inverse": "naive"}

ROWS = {
    "SAC(tanh)": Row("sac"),
    "SAC(no tanh)": Row("sac", FREE),  # and BoundCost: settings 1.7
    "AWR(tanh)": Row("awr", NAIVE),
    "AWR(no tanh)": Row("awr"),
    "MPO(tanh)": Row("mpo", NAIVE),
    "MPO(no tanh)": Row("mpo"),
}
READINGS = {
    # AWR's penalty, of the mean, in the place of the paper's, which it does not say
    "SAC(no tanh) (penalty of the mean)": Row("sac", FREE | {"bounds": "BoundLoss"}),
    "AWR(tanh) (safe inverse)": Row("awr", SAFE),
    "MPO(tanh) (safe inverse)": Row("mpo", SAFE),
}

EXPERIMENTS = (
    experiment(
        "table3",
        "SAC needs its tanh, and EM control does not bear one: MPO and AWR end in "
        "numerical errors.",
        ROWS | READINGS,
        tables=("table3",),
        readings={name: name[: name.index(") (") + 1] for name in READINGS},
    ),
)
