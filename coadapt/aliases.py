"""Names that other programs, and older versions, have for what is here.

A name, or a whole path, leads to paths of today's fields, the likeliest first. Which of
them a config has depends on its factors: `changes.override` says what fits it.
"""

from collections.abc import Mapping

# by the class that has it: an older version's name of a field, and today's. Stores are
# read by both for good; what sets a field by the older one is told today's.
_DATA = {
    "batch": "batch_size",
    "start": "learning_starts",
    "steps": "update_every",
}
_MULTIPLIER = {"floor": "floor_rule"}
RENAMED: Mapping[str, Mapping[str, str]] = {
    "Config": {"greedy": "eval_policy"},
    "Replay": {**_DATA, "warmup": "random_steps"},
    "Trajectories": _DATA,
    "Rollout": {
        "batch": "batch_size",
        "steps": "update_every",
        "policy_batch": "policy_batch_size",
    },
    "Offline": {"batch": "batch_size"},
    "NonParametric": {"keep": "top_fraction"},
    "Behavior": {"steps": "pretrain_updates", "follow": "keep_fitting"},
    "NaturalGradient": {"radius": "max_kl", "halvings": "max_backtracks"},
    "KLTemperature": _MULTIPLIER,
    "DecoupledKL": _MULTIPLIER,
    "JointKL": _MULTIPLIER,
    "BoundWeights": _MULTIPLIER,
    "StateSoftplusStd": {"floor": "std_offset"},
}

_SIZES = ("networks.policy.sizes", "networks.critic.sizes")
_RATES = ("optim.policy.rate", "optim.critic.rate")
_TEMPERATURE = ("pi_q_update.temperature.value", "pi_q_update.temperature.init")

# each line: paths of fields, and the words of others for them
_FIELDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("g_estimate.discount",), "gamma discount_factor discounting"),
    (("g_estimate.critics",), "critics n_critics num_critics num_qs double_q twin_q"),
    (("g_estimate.lam",), "lambda lambda_ lmbda gae_lambda td_lambda"),
    (
        ("g_estimate.n_step.steps", "g_estimate.n_step", "g_estimate.steps"),
        "n_step nstep td_steps",
    ),
    (("g_estimate.ensemble.size",), "num_min num_min_qs"),
    (("g_estimate.ensemble.drop",), "top_quantiles_to_drop_per_net"),
    (("critic.head.number",), "n_quantiles num_quantiles"),
    (("critic.head.bins",), "num_atoms n_atoms"),
    (("critic.head.low",), "v_min vmin"),
    (("critic.head.high",), "v_max vmax"),
    (("g_estimate.smoothing.std",), "policy_noise target_policy_noise target_noise"),
    (("g_estimate.smoothing.limit",), "noise_clip target_noise_clip"),
    (_RATES, "lr learning_rate step_size"),
    (_RATES[:1], "actor_lr policy_lr pi_lr lr_actor actor_learning_rate"),
    (_RATES[:1], "policy_learning_rate"),
    (_RATES[1:], "critic_lr q_lr vf_lr value_lr lr_critic critic_learning_rate"),
    (("optim.dual.rate",), "alpha_lr dual_lr temperature_lr eta_lr"),
    (("optim.policy", "optim.critic"), "optimizer optimizer_class"),
    (("optim.clip.norm",), "max_grad_norm grad_clip gradient_clip clip_grad_norm"),
    (("optim.weight_decay",), "l2 l2_reg wd"),
    (_SIZES, "net_arch hidden_sizes hidden_dims hidden_dim hidden_layers layer_sizes"),
    (_SIZES, "hidden units layers"),
    (
        ("networks.policy.activation", "networks.critic.activation"),
        "activation_fn activations nonlinearity",
    ),
    (
        ("networks.policy.norm", "networks.critic.norm"),
        "layernorm use_layer_norm",
    ),
    (("networks.input_norm",), "norm_obs normalize_obs normalize_observations"),
    (
        ("data.batch_size",),
        "batch_size minibatch_size mini_batch_size train_batch_size",
    ),
    (("data.capacity",), "buffer_size replay_size replay_capacity memory_size"),
    (("data.learning_starts",), "learning_starts min_replay_size update_after"),
    (("data.random_steps",), "start_steps start_timesteps random_steps warmup_steps"),
    (
        ("data.update_every",),
        "train_freq train_frequency update_every n_steps num_steps",
    ),
    (("data.update_every",), "rollout_length unroll_length steps_per_epoch"),
    (("data.envs",), "num_envs n_envs n_env num_env number_of_envs num_actors"),
    (("data.dataset",), "dataset_name dataset_id"),
    (
        ("schedule.critic_steps", "schedule.policy_steps"),
        "gradient_steps updates_per_step utd utd_ratio",
    ),
    (("target.critic.rate",), "tau target_tau soft_target_tau"),
    (
        ("target.critic.period", "target.policy.period"),
        "target_update_interval target_update_period target_update_freq "
        "target_network_frequency",
    ),
    (_TEMPERATURE, "alpha beta eta temperature init_temperature"),
    # of others a constant, or 'auto': here a class
    (("pi_q_update.temperature",), "ent_coef entropy_coef"),
    (("pi_q_update.temperature.target",), "target_entropy"),
    (("pi_q_update.temperature.epsilon",), "epsilon_eta eps_eta dual_constraint"),
    (
        ("pi_p_update.trust_region.epsilon_mean",),
        "epsilon_mu eps_mu kl_mean_constraint",
    ),
    (
        ("pi_p_update.trust_region.epsilon_std",),
        "epsilon_sigma eps_sigma kl_var_constraint",
    ),
    (
        ("pi_q_update.trust_region.epsilon",),
        "clip_range clip_coef clip_eps clip_epsilon clip_ratio",
    ),
    (
        ("pi_q_update.max_kl", "pi_q_update.trust_region.target"),
        "target_kl max_kl desired_kl",
    ),
    (("pi_q_update.damping",), "cg_damping damping_coeff"),
    (("pi_q_update.iterations",), "cg_iters cg_iterations cg_max_steps"),
    (("pi_q_update.max_backtracks",), "backtrack_iters line_search_max_iter"),
    (("pi_q_update.backtrack_coeff",), "line_search_shrinking_factor"),
    (("pi_q.clip.limit",), "max_weight weight_clip exp_adv_max"),
    (
        ("pi_q.gradient.standardize", "pi_q.standardize"),
        "normalize_advantage norm_adv standardize_advantage",
    ),
    (("pi_p.samples",), "num_samples n_samples action_samples sample_action_num"),
    (("pi_theta.noise",), "action_noise act_noise exploration_noise expl_noise"),
    (("pi_theta.scale.low",), "log_std_min min_log_std"),
    (("pi_theta.scale.high",), "log_std_max max_log_std"),
    (("pi_theta.scale.raw", "pi_theta.scale.init_std"), "log_std_init init_std"),
)
FIELDS: Mapping[str, tuple[str, ...]] = {
    word: paths for paths, words in _FIELDS for word in words.split()
}

# each line: a flag, and the words of others for it
_FLAGS = {
    "task": "env env_id env_name environment gym_id task_id",
    "algorithm": "algo alg agent method",
    "algorithms": "algos algs agents methods",
    "seeds": "seed num_seeds n_seeds nseeds",
    "steps": "total_timesteps timesteps n_timesteps num_timesteps total_steps "
    "env_steps max_steps num_env_steps frames",
    "workdir": "logdir log_dir log_folder output output_dir save_dir exp_dir outdir",
    "eval_every": "eval_freq eval_frequency eval_interval",
    "eval_episodes": "n_eval_episodes num_eval_episodes n_eval eval_eps",
    "checkpoint_every": "save_freq save_every save_interval checkpoint_freq",
    "wandb": "track wandb_project wandb_project_name use_wandb",
    "set": "hyperparams hyperparameters params override config_override",
    "video": "capture_video record_video",
}
FLAGS: Mapping[str, str] = {
    word: flag for flag, words in _FLAGS.items() for word in words.split()
}


def fields(path: str) -> tuple[str, ...]:
    """Paths that a path of another program may be; () where none is known.

    The whole path is looked up, then its last name, then its first. Of several, those
    that have its other names too: of 'critic.lr' the critic's alone.
    """
    words = path.lower().replace("-", "_").split(".")
    keys = (".".join(words), words[-1], words[0])
    found = next((FIELDS[key] for key in keys if key in FIELDS), ())
    alike = [p for p in found if set(words[:-1]) <= set(p.split("."))]
    return tuple(alike) or found
