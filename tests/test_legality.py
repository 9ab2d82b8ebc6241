"""What `legality.check` refuses: one test for each of its rules, and no preset."""

import dataclasses

import pytest

from coadapt import algorithms, config, schema
from coadapt.algorithms import PRESETS
from coadapt.schema import ConfigError
from coadapt.validation import config_rules

TASKS = [(name, task) for name, (_, tasks) in PRESETS.items() for task in tasks]

# Each row: a preset, changes of it, the field that is refused, a part of the reason.
REFUSED = {
    # fields that would be read by nothing
    "climb-baseline": (
        "sac",
        {"g": "Q", "g.baseline": 1},
        "g.baseline",
        "it changes no gradient of a parametric pi_q",
    ),
    "climb-target": (
        "sac",
        {"g": "Q", "g.critic": "target"},
        "g.critic",
        "a parametric pi_q maximises the critic itself, so it must be 'online'",
    ),
    "next-baseline": ("mpo", {"g.baseline": 2}, "g.baseline", "so it must be 0"),
    "one-action-kl": (
        "awr",
        {"pi_q_update.temperature": "KLTemperature"},
        "pi_q_update.temperature",
        "with one action per state the KL is 0",
    ),
    "one-sample-kl": (
        "mpo",
        {"pi_p.samples": 1},
        "pi_q_update.temperature",
        "samples of 2 or more",
    ),
    "temperature-zero": (
        "awac",
        {"pi_q_update.temperature.value": 0.0},
        "pi_q_update.temperature.value",
        "need one above 0",
    ),
    "one-action-state": (
        "awac",
        {"pi_q.normalize": "state"},
        "pi_q.normalize",
        "with one action per state its weight is 1 whatever its G",
    ),
    "bound-loss-inside": (
        "awac",
        {"bounds": "BoundLoss"},
        "bounds",
        "a mean under a tanh never leaves the box",
    ),
    "minimum-of-one": (
        "mpo",
        {"g_estimate.minimum": "mean"},
        "g_estimate.minimum",
        "there is a minimum of 2 critics or more only",
    ),
    "capacity-below-batch": (
        "sac",
        {"data.capacity": 100},
        "data.capacity",
        "it must be at least data.batch_size, which is 256",
    ),
    "simultaneous-episodes": (
        "awr",
        {"schedule.simultaneous": True},
        "schedule.simultaneous",
        "the policy's steps follow all of the critic's",
    ),
    "std-range-empty": (
        "sac",
        {"pi_theta.scale.low": 3.0},
        "pi_theta.scale.low",
        "it must be below pi_theta.scale.high",
    ),
    "temperature-range-empty": (
        "bear",
        {"pi_q_update.temperature.low": 10.0},
        "pi_q_update.temperature.low",
        "it must be below pi_q_update.temperature.high",
    ),
    # pi_q is the policy: KL control
    "kl-analytic": (
        "sac",
        {"pi_q_update": "Analytic"},
        "pi_q_update",
        "updated by SG, so with pi_q.gradient=Pathwise it must be Gradient",
    ),
    "kl-prior-policy": (
        "sac",
        {"pi_p": "Policy"},
        "pi_p",
        "KL control holds its prior fixed, so with pi_q.gradient=Pathwise it must be "
        "Uniform, Ignored or Behavior",
    ),
    "kl-prior-mixture": ("sac", {"pi_p": "Mixture"}, "pi_p", "must be Uniform, "),
    "kl-prior-moves": (
        "sac",
        {"pi_p_update": "Gradient"},
        "pi_p_update",
        "KL control holds its prior fixed, so with pi_q.gradient=Pathwise it must be "
        "Fixed",
    ),
    "kl-episodes": (
        "sac",
        {"data": "Trajectories"},
        "data",
        "reads single transitions, so with pi_q.gradient=Pathwise it must be Replay "
        "or Offline",
    ),
    # pi_q is a set of weights: EM control
    "em-gradient": (
        "awac",
        {"pi_q_update": "Gradient"},
        "pi_q_update",
        "so with pi_q=NonParametric it must be Analytic",
    ),
    "em-prior-uniform": (
        "awac",
        {"pi_p": "Uniform"},
        "pi_p",
        "so with pi_q=NonParametric it must be Policy, OnPolicy, Posterior or Mixture",
    ),
    "em-prior-fixed": (
        "mpo",
        {"pi_p_update": "Fixed"},
        "pi_p_update",
        "so with pi_q=NonParametric it must be Gradient",
    ),
    # G and its estimate
    "lambda-of-q": (
        "awac",
        {"g_estimate": "TDLambda"},
        "g_estimate",
        "it estimates Advantage, and g is Q, which needs TD0, Retrace or MonteCarlo",
    ),
    "td0-of-advantage": ("awr", {"g_estimate": "TD0"}, "g_estimate", "g is Advantage"),
    "q-by-lambda": ("awr", {"g": "Q"}, "g_estimate", "and g is Q"),
    "advantage-by-retrace": (
        "mpo",
        {"g": "Advantage"},
        "g_estimate",
        "it estimates Q or SoftQ, and g is Advantage, which needs TDLambda, GAE, ",
    ),
    "lambda-of-transitions": (
        "awr",
        {"data": "Replay"},
        "data",
        "sums along sequences, so with g_estimate=TDLambda it must be Trajectories "
        "or Rollout",
    ),
    "td0-of-episodes": (
        "awac",
        {"data": "Trajectories"},
        "data",
        "from a target network, so with g_estimate=TD0 it must be Replay or Offline",
    ),
    "soft-em-stored": ("awac", {"g": "SoftQ"}, "g", "so it needs pi_q=Parametric"),
    "soft-em-fresh": ("mpo", {"g": "SoftQ"}, "g", "so it needs pi_q=Parametric"),
    "retrace-stored": (
        "awac",
        {"g_estimate": "Retrace"},
        "g_estimate",
        "its expectation runs over the M actions of pi_p=Policy; use TD0",
    ),
    "retrace-kl": ("sac", {"g_estimate": "Retrace"}, "g_estimate", "use TD0"),
    "next-without-retrace": (
        "mpo",
        {"g_estimate": "TD0"},
        "pi_p.states",
        "the actions at next states are those of g_estimate=Retrace; use 'current'",
    ),
    "advantage-of-fresh": (
        "awr",
        {"pi_p": "Policy", "pi_p.states": "current"},
        "pi_p",
        "a state value cannot score newly sampled actions",
    ),
    # the box
    "weights-under-tanh": (
        "mpo",
        {"pi_theta": "TanhGaussian"},
        "bounds",
        "actions of a TanhGaussian never leave the box, so it must be none",
    ),
    "loss-under-tanh": ("awr", {"pi_theta": "TanhGaussian"}, "bounds", "must be none"),
    "cost-under-tanh": ("sac", {"bounds": "BoundCost"}, "bounds", "must be none"),
    "weights-of-stored": (
        "awac",
        {"bounds": "BoundWeights"},
        "bounds",
        "its weights compare the actions of a state",
    ),
    "weights-of-kl": (
        "sac",
        {"pi_theta": "Gaussian", "bounds": "BoundWeights"},
        "bounds",
        "compare the actions of a state",
    ),
    "cost-of-em": ("awr", {"bounds": "BoundCost"}, "bounds", "use BoundLoss"),
    # target networks
    "trust-in-nothing": (
        "mpo",
        {"target.policy": "none"},
        "target.policy",
        "a trust region is measured from the target policy; use Hard or Soft",
    ),
    "lambda-with-copy": (
        "awr",
        {"target.critic": "Soft"},
        "target.critic",
        "sums along sequences bootstrap from the critic itself",
    ),
    "next-by-online": (
        "mpo",
        {"g.critic": "online"},
        "g.critic",
        "at pi_p.states='next' the actions were scored by the target critic",
    ),
    "sequences-with-policy-copy": (
        "awr",
        {"target.policy": "Soft"},
        "target.policy",
        "along sequences only a trust region uses it, so it must be none",
    ),
    "rollout-with-policy-copy": (
        "vmpo",
        {"target.policy": "Soft"},
        "target.policy",
        "with data=Rollout the prior is the policy at the start of an iteration",
    ),
    # pi_q is the policy, by ratios
    "ratio-analytic": (
        "ppo",
        {"pi_q_update": "Analytic"},
        "pi_q_update",
        "with pi_q.gradient=LikelihoodRatio it must be Gradient, Proximal or Natural",
    ),
    "ratio-prior-uniform": (
        "ppo",
        {"pi_p": "Uniform"},
        "pi_p",
        "the policy that collected the data, the last pi_q, so with "
        "pi_q.gradient=LikelihoodRatio it must be Posterior",
    ),
    "ratio-prior-not-copied": (
        "trpo",
        {"pi_p_update": "Gradient"},
        "pi_p_update",
        "pi_p=Posterior is updated by Copy",
    ),
    "copy-of-no-posterior": (
        "rwr",
        {"pi_p_update": "Copy"},
        "pi_p_update",
        "and no other prior is; pi_p is OnPolicy",
    ),
    "ratio-of-logarithm": (
        "trpo_table1",
        {"g": "LogQ"},
        "g",
        "a likelihood ratio multiplies a return or an advantage",
    ),
    "ratio-kl-temperature": (
        "ppo",
        {
            "pi_q_update": "Gradient",
            "pi_q_update.temperature": "EntropyTemperature",
        },
        "pi_q_update.temperature",
        "eta multiplies KL(pi_p || pi_theta), which Proximal adapts",
    ),
    "ratio-of-no-density": (
        "ppo",
        {"pi_theta": "Deterministic"},
        "pi_theta",
        "it has no likelihood, which weights and ratios need",
    ),
    "ratio-of-transitions": (
        "ppo",
        {"g": "Q", "g_estimate": "TD0"},
        "g_estimate",
        "learns from single transitions of a replay, but pi_p=Posterior",
    ),
    "proximal-kl-control": (
        "sac",
        {"pi_q_update": "Proximal"},
        "pi_q_update",
        "so with pi_q.gradient=Pathwise it must be Gradient",
    ),
    # pi_q is a set of weights of episodes
    "episodes-by-formula-only": (
        "urex",
        {"pi_q_update": "Gradient"},
        "pi_q_update",
        "so with pi_q=Episodic it must be Analytic",
    ),
    "episodes-of-a-mixture": (
        "urex",
        {"pi_p": "Mixture"},
        "pi_p",
        "so with pi_q=Episodic it must be OnPolicy or Uniform",
    ),
    "episodes-in-closed-form": (
        "urex",
        {"pi_p_update": "ClosedForm"},
        "pi_p_update",
        "episodes are fitted by SG",
    ),
    "episodes-by-advantage": (
        "urex",
        {"g": "Advantage"},
        "g",
        "an episode is weighted by its return, so with pi_q=Episodic it must be Q",
    ),
    "episodes-by-critic": (
        "urex",
        {"g_estimate": "TD0"},
        "g_estimate",
        "so with pi_q=Episodic it must be MonteCarlo",
    ),
    "episodes-kl-temperature": (
        "urex",
        {"pi_q_update.temperature": "KLTemperature"},
        "pi_q_update.temperature",
        "the weights of episodes are computed once per iteration",
    ),
    "episodes-of-past": (
        "urex",
        {"data": "Trajectories"},
        "data",
        "the policy itself collects the data, so with pi_q=Episodic it must be Rollout",
    ),
    # what maximises a critic
    "climb-advantage": (
        "ddpg",
        {"g": "Advantage", "g_estimate": "GAE"},
        "g",
        "a gradient to the action runs through an action value",
    ),
    "climb-returns": (
        "ddpg",
        {"g_estimate": "MonteCarlo"},
        "g_estimate",
        "the gradient runs through a critic of (s, a), which single transitions fit",
    ),
    "soft-of-ignored": (
        "td3",
        {"g": "SoftQ"},
        "g",
        "with pi_p=Ignored there is no divergence to count as reward; use Q",
    ),
    "climb-choices": (
        "sac",
        {"pi_theta": "Softmax"},
        "pi_theta",
        "a discrete choice has no pathwise gradient",
    ),
    "entropy-of-deterministic": (
        "sac",
        {"pi_theta": "Deterministic"},
        "pi_theta",
        "its entropy and its KL are infinite; use pi_p=Ignored, or a VAE and MMD",
    ),
    "weights-of-deterministic": (
        "awac",
        {"pi_theta": "Deterministic"},
        "pi_theta",
        "it has no likelihood, which weights and ratios need",
    ),
    "best-of-one-action": (
        "td3",
        {"eval_policy": "BestOf"},
        "eval_policy",
        "Deterministic has one action per state, so it must be Mode",
    ),
    "smooth-soft": (
        "sac",
        {"g_estimate.smoothing": "Smoothing"},
        "g_estimate.smoothing",
        "a smoothed action does not have the policy's log-probability, which g=SoftQ",
    ),
    "smooth-choices": (
        "awac",
        {"pi_theta": "Softmax", "g_estimate.smoothing": "Smoothing"},
        "g_estimate.smoothing",
        "a discrete choice cannot be smoothed",
    ),
    "samples-of-one-action": (
        "td3",
        {"pi_q.gradient.samples": 2},
        "pi_q.gradient.samples",
        "Deterministic has one action per state, so it must be 1",
    ),
    "clip-no-noise": (
        "td3",
        {"pi_q.gradient.noise_limit": 0.5},
        "pi_q.gradient.noise_limit",
        "Deterministic draws no normal noise, so it must be none",
    ),
    "clip-and-count": (
        "sac",
        {"pi_q.gradient.noise_limit": 0.5},
        "pi_q.gradient.noise_limit",
        "which pi_q_update.divergence=KL needs",
    ),
    "mix-of-one": (
        "bear",
        {"g_estimate.critics": 1},
        "g_estimate.mix",
        "there is a maximum to mix in with 2 critics or more",
    ),
    # G and its data
    "log-q-by-td0": (
        "power",
        {"g_estimate": "TD0"},
        "g_estimate",
        "and g is LogQ, which needs MonteCarlo",
    ),
    "log-reward-by-returns": (
        "rwr",
        {"g_estimate": "MonteCarlo"},
        "g_estimate",
        "and g is LogReward, which needs NoEstimate",
    ),
    "fresh-by-returns": (
        "mpo",
        {"g_estimate": "MonteCarlo", "data": "Trajectories"},
        "pi_p",
        "a return cannot score newly sampled actions",
    ),
    "returns-by-critic": (
        "urex",
        {"g.critic": "target"},
        "g.critic",
        "there is no critic, so it must be 'online'",
    ),
    "returns-baseline": (
        "urex",
        {"g.baseline": 1},
        "g.baseline",
        "and needs a critic, so it must be 0",
    ),
    "on-policy-past": (
        "rwr",
        {"data": "Trajectories"},
        "data",
        "collects the data, so with pi_p=OnPolicy it must be Rollout",
    ),
    "mixture-of-newest": (
        "awr",
        {"data": "Rollout"},
        "data",
        "past policies made the data, so with pi_p=Mixture it must be Replay, Traj",
    ),
    "others-not-collecting": (
        "brac",
        {"data": "Replay"},
        "data",
        "others made the data, so with pi_p=Behavior it must be Offline",
    ),
    "critic-without-steps": (
        "ppo",
        {"schedule.critic_steps": 0},
        "schedule.critic_steps",
        "a critic is fitted by SG, so it must be 1 or more",
    ),
    "steps-without-critic": (
        "rwr",
        {"schedule.critic_steps": 1},
        "schedule.critic_steps",
        "no critic is fitted by SG, so it must be 0",
    ),
    "steps-of-the-dual": (
        "reps",
        {"schedule.critic_steps": 10},
        "schedule.critic_steps",
        "with g=Advantage and g_estimate=DualValue no critic is fitted by SG",
    ),
    "policy-batch-too-large": (
        "trpo_table1",
        {"data.policy_batch_size": 5001},
        "data.policy_batch_size",
        "it must be at most data.update_every, which is 5000",
    ),
    "rollout-below-batch": (
        "ppo",
        {"data.update_every": 32},
        "data.update_every",
        "it must be at least data.batch_size, which is 64",
    ),
    "best-by-state-value": (
        "ppo",
        {"eval_policy": "BestOf"},
        "eval_policy",
        "it compares actions by an action value's critic",
    ),
    "best-by-returns": (
        "urex",
        {"eval_policy": "BestOf"},
        "eval_policy",
        "action value's cri",
    ),
    # weights and temperatures
    "unsummed-kl": (
        "vmpo",
        {"pi_q.normalize": "none"},
        "pi_q_update.temperature",
        "with samples of 2 or more, or pi_q.normalize='batch'",
    ),
    "on-policy-state": (
        "rwr",
        {"pi_q.normalize": "state"},
        "pi_q.normalize",
        "with one action per state its weight is 1 whatever its G",
    ),
    "keep-of-state": (
        "mpo",
        {"pi_q.top_fraction": 0.5},
        "pi_q.top_fraction",
        "the best of a batch are not all of any state's",
    ),
    "keep-without-sum": (
        "mpo",
        {"pi_q.top_fraction": 0.5, "pi_q.normalize": "none"},
        "pi_q.top_fraction",
        "the KL of KLTemperature is then of the best of the batch",
    ),
    "dual-without-value": (
        "reps",
        {"g_estimate": "GAE", "schedule.critic_steps": 10},
        "g_estimate",
        "so with pi_q_update.temperature=DualTemperature it must be DualValue",
    ),
    "dual-in-deviations": (
        "reps",
        {"pi_q.standardize": True},
        "pi_q.standardize",
        "a DualTemperature is in units of unstandardised G",
    ),
    "dual-without-temperature": (
        "trpo",
        {"g_estimate": "DualValue", "schedule.critic_steps": 0},
        "g_estimate",
        "its dual has a temperature, and pi_q_update=NaturalGradient has none",
    ),
    "dual-at-zero": (
        "ppo",
        {
            "pi_q_update": "Gradient",
            "pi_q_update.temperature": "ConstantTemperature",
            "pi_q_update.temperature.value": 0.0,
            "g_estimate": "DualValue",
            "schedule.critic_steps": 0,
        },
        "pi_q_update.temperature.value",
        "the dual of g_estimate=DualValue needs one above 0",
    ),
    "exponential-of-advantage": (
        "vmpo",
        {"pi_q_update.temperature": "ExponentialTemperature"},
        "g",
        "the rule is for observed rewards",
    ),
    "log-q-temperature": (
        "power",
        {"pi_q.normalize": "batch", "pi_q_update.temperature": "KLTemperature"},
        "pi_q_update.temperature",
        "eta cancels in the weights, so with g=LogQ it must be ConstantTemperature",
    ),
    "ignored-by-entropy": (
        "ddpg",
        {"pi_q_update.temperature": "EntropyTemperature"},
        "pi_q_update.temperature",
        "so with pi_p=Ignored it must be ConstantTemperature",
    ),
    "ignored-but-weighed": (
        "ddpg",
        {"pi_q_update.temperature.value": 0.1},
        "pi_q_update.temperature.value",
        "a temperature of 0 ignores the prior, so with pi_p=Ignored it must be 0",
    ),
    "entropy-of-others": (
        "brac",
        {"pi_q_update.temperature": "EntropyTemperature"},
        "pi_p",
        "with pi_q_update.temperature=EntropyTemperature it must be Uniform",
    ),
    "divergence-of-uniform": (
        "sac",
        {"pi_q_update.temperature": "DivergenceTemperature"},
        "pi_p",
        "the divergence is from a model of the data's policy",
    ),
    "samples-of-uniform": (
        "sac",
        {"pi_q_update.divergence": "MMD"},
        "pi_p",
        "it compares samples with those of a model",
    ),
    "vae-density": (
        "bear",
        {"pi_q_update.divergence": "KL"},
        "pi_q_update.divergence",
        "a VAE has samples but no density, so with pi_p.model=VAE it must be MMD, "
        "DualKL or Wasserstein",
    ),
    "clone-without-density": (
        "brac",
        {"pi_theta": "Deterministic", "pi_q_update.divergence": "MMD"},
        "pi_theta",
        "use pi_p=Ignored, or a VAE and MMD",
    ),
    "warm-without-model": (
        "sac",
        {"schedule.warm_start": 10},
        "schedule.warm_start",
        "it pulls the policy to the model of pi_p=Behavior; else it must be 0",
    ),
    "warm-at-zero": (
        "brac",
        {"pi_q_update.temperature.value": 0.0},
        "schedule.warm_start",
        "a temperature of 0 pulls to nothing",
    ),
    "model-never-fitted": (
        "brac",
        {"pi_p.pretrain_updates": 0},
        "pi_p.keep_fitting",
        "the model would never be fitted",
    ),
    # the M-step
    "decoupled-choices": (
        "vmpo",
        {"pi_theta": "Softmax"},
        "pi_p_update.trust_region",
        "a Softmax has no mean and no std to hold apart; use JointKL",
    ),
    "closed-form-of-tanh": (
        "power",
        {"pi_theta": "TanhGaussian"},
        "pi_theta",
        "it is a regression on actions, so with pi_p_update=ClosedForm it must be Gau",
    ),
    "closed-form-of-bound-mean": (
        "power",
        {"pi_theta.mean": "tanh"},
        "pi_theta.mean",
        "a mean under a tanh has no closed form; use 'free'",
    ),
    "closed-form-of-output": (
        "power",
        {"pi_theta.scale": "StateLogStd"},
        "pi_theta.scale",
        "a std that is a network's output has no closed form",
    ),
    "closed-form-in-the-box": (
        "power",
        {"bounds": "BoundLoss"},
        "bounds",
        "a regression has no gradient to bend, so it must be none",
    ),
    "choices-in-the-box": (
        "urex",
        {"bounds": "BoundLoss"},
        "bounds",
        "actions of a Softmax never leave the box",
    ),
    "deterministic-in-the-box": (
        "td3",
        {"bounds": "BoundCost"},
        "bounds",
        "actions of a Deterministic never leave the box",
    ),
    "dual-left-behind": (
        "brac",
        {"pi_q_update.divergence": "DualKL"},
        "pi_p.keep_fitting",
        "the network of DualKL follows the policy",
    ),
    "dual-without-model": (
        "sac",
        {"pi_q_update.divergence": "Wasserstein"},
        "pi_p",
        "so with pi_q_update.divergence=Wasserstein it must be Behavior",
    ),
    "sequences-of-others": (
        "mpo",
        {"g_estimate.steps": 5, "data": "Offline"},
        "g_estimate.steps",
        "a data set does not say how likely its actions were",
    ),
}

# Meaningful neighbours of the refused ones: the same field, set right.
ACCEPTED = {
    "sac-single": ("sac", {"g_estimate.critics": 1}),
    "sac-free": ("sac", {"pi_theta": "Gaussian", "bounds": "BoundCost"}),
    "sac-mean": ("sac", {"pi_theta": "Gaussian", "bounds": "BoundLoss"}),
    "sac-constant": ("sac", {"pi_q_update.temperature": "ConstantTemperature"}),
    "kl-of-q": ("sac", {"g": "Q"}),
    "mpo-double": ("mpo", {"g_estimate.critics": 2}),
    "mpo-double-mean": (
        "mpo",
        {"g_estimate.critics": 2, "g_estimate.minimum": "mean"},
    ),
    "mpo-tanh": ("mpo", {"bounds": "none", "pi_theta": "TanhGaussian"}),
    "mpo-mean": ("mpo", {"bounds": "BoundLoss"}),
    "mpo-free-step": ("mpo", {"pi_p_update.trust_region": "none"}),
    "mpo-current": ("mpo", {"pi_p.states": "current", "g.critic": "online"}),
    "mpo-td0": (
        "mpo",
        {"pi_p.states": "current", "g_estimate": "TD0", "g.critic": "online"},
    ),
    "awr-tanh": ("awr", {"bounds": "none", "pi_theta": "TanhGaussian"}),
    "awac-trusted": (
        "awac",
        {"pi_p_update.trust_region": "DecoupledKL", "target.policy": "Soft"},
    ),
    "awac-net": ("awac", {"networks.input_norm": "InputNorm"}),
    "batch-kl": ("awac", {"pi_q_update.temperature": "KLTemperature"}),
    "awac-target": ("awac", {"g.critic": "target"}),
    "awac-offline": ("awac", {"data": "Offline"}),
    "sac-offline": ("sac", {"data": "Offline"}),
    "td3-offline": ("td3", {"data": "Offline"}),
    "mpo-batch-keep": (
        "mpo",
        {"pi_q.top_fraction": 0.5, "pi_q.normalize": "batch"},
    ),
    "awr-trusted": (
        "awr",
        {"pi_p_update.trust_region": "JointKL", "target.policy": "Soft"},
    ),
    "awr-as-rwr": (
        "awr",
        {
            "pi_p": "OnPolicy",
            "g": "LogReward",
            "g_estimate": "NoEstimate",
            "data": "Rollout",
            "schedule.critic_steps": 0,
        },
    ),
    "awr-returns": (
        "awr",
        {"g": "Q", "g_estimate": "MonteCarlo", "schedule.critic_steps": 0},
    ),
    "awr-closed-form": ("awr", {"pi_p_update": "ClosedForm", "bounds": "none"}),
    "rwr-exponential": (
        "rwr",
        {"pi_q_update.temperature": "ExponentialTemperature", "g.of": "reward"},
    ),
    "power-by-return": ("power", {"g.shift": "return"}),
    "power-constant": ("power", {"pi_theta.scale": "ConstantStd"}),
    "power-deviations": (
        "power",
        {
            "pi_q.normalize": "batch",
            "pi_q.standardize": True,
            "pi_q_update.temperature": "KLTemperature",
        },
    ),
    "reps-constant": ("reps", {"pi_q_update.temperature": "ConstantTemperature"}),
    "reps-by-gae": (
        "reps",
        {
            "pi_q_update.temperature": "ConstantTemperature",
            "g_estimate": "GAE",
            "schedule.critic_steps": 10,
        },
    ),
    "urex-original": ("urex", {"pi_p": "Uniform", "pi_q.expected_return": True}),
    "urex-gaussian": ("urex", {"pi_theta": "Gaussian", "bounds": "BoundLoss"}),
    "vmpo-choices": (
        "vmpo",
        {"pi_theta": "Softmax", "pi_p_update.trust_region": "JointKL"},
    ),
    "vmpo-constant": ("vmpo", {"pi_q_update.temperature": "ConstantTemperature"}),
    "vmpo-all": ("vmpo", {"pi_q.top_fraction": 1.0}),
    "vmpo-keep-unsummed": (
        "vmpo",
        {
            "pi_q.normalize": "none",
            "pi_q_update.temperature": "ConstantTemperature",
        },
    ),
    "trpo-gae": ("trpo_table1", {"g_estimate": "GAE"}),
    "trpo-choices": ("trpo", {"pi_theta": "Softmax"}),
    "trpo-all": ("trpo", {"data.policy_batch_size": "none"}),
    "ppo-clipped": ("ppo", {"pi_q_update.trust_region": "ClippedRatio"}),
    "ppo-choices": ("ppo", {"pi_theta": "Softmax"}),
    "ppo-tanh": ("ppo", {"pi_theta": "TanhGaussian"}),
    "ppo-returns": (
        "ppo",
        {"g": "Q", "g_estimate": "MonteCarlo", "schedule.critic_steps": 0},
    ),
    "ratio-alone": (
        "ppo",
        {
            "pi_q_update": "Gradient",
            "pi_q_update.temperature": "ConstantTemperature",
            "pi_q_update.temperature.value": 0.0,
        },
    ),
    "ratio-by-dual": (
        "ppo",
        {
            "pi_q_update": "Gradient",
            "pi_q_update.temperature": "ConstantTemperature",
            "g_estimate": "DualValue",
            "schedule.critic_steps": 0,
        },
    ),
    "ddpg-stochastic": ("ddpg", {"pi_theta": "Gaussian", "bounds": "BoundCost"}),
    "ddpg-smooth": ("ddpg", {"g_estimate.smoothing": "Smoothing"}),
    "td3-entropy": (
        "td3",
        {
            "pi_p": "Uniform",
            "pi_theta": "TanhGaussian",
            "pi_q_update.temperature": "EntropyTemperature",
            "eval_policy": "BestOf",
        },
    ),
    "brac-policy-alone": ("brac", {"g": "Q"}),
    "brac-following": ("brac", {"pi_p.pretrain_updates": 0, "pi_p.keep_fitting": True}),
    "brac-zero": (
        "brac",
        {"pi_q_update.temperature.value": 0.0, "schedule.warm_start": 0},
    ),
    "brac-samples": ("brac", {"pi_q_update.divergence": "MMD"}),
    "brac-dual": (
        "brac",
        {"pi_p.keep_fitting": True, "pi_q_update.divergence": "Wasserstein"},
    ),
    "bear-dual": ("bear", {"pi_q_update.divergence": "DualKL"}),
    "mpo-sequences": ("mpo", {"g_estimate.steps": 5}),
    "bear-deterministic": (
        "bear",
        {
            "pi_theta": "Deterministic",
            "eval_policy": "Mode",
            "pi_q.gradient.samples": 1,
            "pi_q.gradient.noise_limit": "none",
            "g_estimate.samples": 1,
            "g_estimate.over": "mean",
        },
    ),
    "bear-clone": (
        "bear",
        {
            "pi_p.model": "Clone",
            "pi_q_update.divergence": "KL",
            "pi_q.gradient.noise_limit": "none",
        },
    ),
    "sac-samples": ("sac", {"pi_q.gradient.samples": 5}),
    "bear-first": ("bear", {"g_estimate.critics": 1, "g_estimate.mix": 1.0}),
    "bear-constant": ("bear", {"pi_q_update.temperature": "ConstantTemperature"}),
}


def altered(name: str, changes: dict[str, object]) -> config.Config:
    return schema.override(algorithms.preset(name), changes)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_passes(name):
    config_rules.check(algorithms.preset(name))


@pytest.mark.parametrize(
    "name, task", TASKS, ids=[f"{name}-{task}" for name, task in TASKS]
)
def test_every_preset_passes_on_its_tasks(name, task):
    config_rules.check(algorithms.preset(name, task))


@pytest.mark.parametrize("case", list(ACCEPTED))
def test_a_meaningful_change_passes(case):
    config_rules.check(altered(*ACCEPTED[case]))


@pytest.mark.parametrize("case", list(REFUSED))
def test_a_meaningless_change_is_refused_by_its_field(case):
    name, changes, field, reason = REFUSED[case]
    with pytest.raises(ConfigError) as error:
        config_rules.check(altered(name, changes))
    message = str(error.value)
    assert message.startswith(f"{field} is ")
    assert reason in message
    assert message.endswith(".") and "\n" not in message  # one sentence, on one line


def test_what_came_is_said():
    with pytest.raises(ConfigError, match=r"^pi_p\.states is 'next': "):
        config_rules.check(altered("mpo", {"g_estimate": "TD0"}))
    with pytest.raises(ConfigError, match=r"^target\.policy is None: "):
        config_rules.check(altered("mpo", {"target.policy": None}))


@pytest.mark.parametrize(
    "path, value",
    [
        ("g_estimate.discount", 1.0),
        ("g_estimate.critics", 101),
        ("optim.policy.rate", 0.0),
        ("optim.policy.rate", float("nan")),
        ("data.batch_size", 0),
        ("target.critic.rate", 1.5),
    ],
)
def test_a_value_out_of_range_is_refused_before_any_rule(path, value):
    """Whoever replaced it without `override`, which would have refused it already."""
    parents = path.split(".")
    broken = _replace(algorithms.preset("sac"), parents, value)
    with pytest.raises(ConfigError) as error:
        config_rules.check(broken)
    assert str(error.value).startswith(f"{path} is ")


def _replace(value, names, leaf):
    if not names:
        return leaf
    inner = _replace(getattr(value, names[0]), names[1:], leaf)
    return dataclasses.replace(value, **{names[0]: inner})


@pytest.mark.parametrize("name", ["mpoo", "a3c", ""])
def test_an_unknown_preset_is_refused(name):
    known = "mpo, awr, awac, sac, power, rwr, reps, urex, vmpo, vmpo_table1, trpo, "
    known += "trpo_table1, ppo, ddpg, td3, brac, bear"
    with pytest.raises(ConfigError, match=f"it must be one of {known}"):
        algorithms.preset(name)
