"""FastTD3 (Seo et al. 2025): TD3 of many environments and large minibatches."""

from coadapt import schema
from coadapt.algorithms.td3 import td3
from coadapt.config import Config
from coadapt.networks import Init

BASE = "td3"

# N(0, 0.01^2), of 128 units below; settings 4.10
LAST = Init(weights="fan_in_normal", scale=128 * 0.01**2, bias="zeros")


def fast_td3() -> Config:
    """FastTD3 with the defaults of its code, HumanoidBench's (settings 4.10).

    A std of exploration is drawn for each episode of each environment. The atoms lie
    from -250 to 250: on tasks of other returns set critic.head.low, critic.head.high
    and g_estimate.discount, as the source does. It adds 0.01 to the std of inputs, here
    its square to the variance, and multiplies in bfloat16 (networks.precision).
    """
    return schema.override(
        td3(),
        {
            "networks.policy.sizes": (512, 256, 128),  # settings 4.10
            "networks.policy.output": LAST,
            "networks.critic.sizes": (1024, 512, 256),  # settings 4.10
            "networks.input_norm": "InputNorm",
            "networks.input_norm.limit": None,  # settings 4.10
            "networks.input_norm.epsilon": 1e-4,  # settings 4.10
            "networks.input_norm.until": None,  # settings 4.10
            "critic.head": "C51",
            "critic.head.bins": 101,  # settings 4.10
            "critic.head.low": -250.0,  # settings 4.10
            "critic.head.high": 250.0,  # settings 4.10
            "g_estimate.smoothing.std": 0.001,  # settings 4.10
            "pi_q.gradient.critic": "minimum",  # settings 4.10
            "exploration.std": "EpisodeStd",
            "exploration.std.low": 0.001,  # settings 4.10
            "exploration.std.high": 0.4,  # settings 4.10
            "optim.policy": "AdamW",
            "optim.policy.rate": 3e-4,  # settings 4.10
            "optim.policy.decay": 0.1,  # settings 4.10
            "optim.critic": "AdamW",
            "optim.critic.rate": 3e-4,  # settings 4.10
            "optim.critic.decay": 0.1,  # settings 4.10
            "target.policy": None,  # settings 4.10
            "target.critic.rate": 0.1,  # settings 4.10
            "target.each_step": True,  # settings 4.10
            "data.envs": 128,  # settings 4.10
            "data.capacity": 128 * 51_200,  # settings 4.10
            "data.batch_size": 32_768,  # settings 4.10
            "data.update_every": 128,  # settings 4.10
            "data.learning_starts": 12 * 128,  # settings 4.10
            "data.random_steps": 0,  # settings 4.10
        },
    )
