"""A class of a user's own module, where a factor of ours may stand."""

import re
import sys
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coadapt
from coadapt import algorithms, envs, networks, optim, schema, taxonomy
from coadapt.cli import show, train
from coadapt.config import Config
from coadapt.runs import provenance
from coadapt.schema import ConfigError
from coadapt.validation import config_rules

MODULE = '''
import jax.numpy as jnp
import optax
from coadapt import networks, optim
from coadapt.factors.critic import Loss
from coadapt.factors.pi_q import Weights
from coadapt.schema import Positive, config

@config
class Quartic(Loss):
    """The fourth power of an error."""

    weight: Positive = 1.0  # of it

    def each(self, error):
        return self.weight * error**4

@config
class Linear(Weights):
    """What G has above its mean, in units of eta."""

    slope: Positive = 1.0  # of the weights

    symbol = "Linear"

    def weights(self, score, temperature):
        above = score - jnp.mean(score, axis=0, keepdims=True)
        return self.slope * jnp.maximum(above, 0.0) / temperature

@config
class Sign(optim.Rule):
    """The sign of the gradient."""

    rate: Positive = 1e-3  # the length of a step, in each parameter

    def direction(self):
        return optax.scale_by_sign()

@config
class Sines(networks.Features):
    """The inputs, and their sines."""

    def size(self, inputs):
        return 2 * inputs

    def apply(self, x):
        return jnp.concatenate([x, jnp.sin(x)], axis=-1)

@config
class Unlike:
    """Made after nothing."""

class Plain(Weights):
    """No config."""
'''
NAME = "own_weights:Linear"
SMALL = [
    "--set=networks.policy.sizes=8", "--set=networks.critic.sizes=8",
    "--set=data.batch_size=8", "--set=data.learning_starts=20",
    "--set=data.random_steps=20",
    "--set=pi_p.samples=4", "--steps=40", "--eval_every=40", "--eval_episodes=1",
    "--seeds=1", "--quiet",
]  # fmt: skip


@contextmanager
def written(name, text, folder, monkeypatch):
    """A user's module, which is not imported yet; it is forgotten at the end."""
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop(name, None)


@pytest.fixture
def own(tmp_path, monkeypatch):
    with written("own_weights", MODULE, tmp_path, monkeypatch) as folder:
        yield folder


def chosen(**changes):
    config = schema.override(algorithms.preset("mpo"), {"pi_q": NAME})
    return schema.override(config, changes)


def test_it_stands_by_its_name_and_keeps_its_numbers(own):
    config = chosen(**{"pi_q.slope": "2.5"})
    config_rules.check(config)
    score = jnp.array([[1.0], [4.0]])
    found = config.pi_q.weights(score, jnp.float32(2.0))
    np.testing.assert_allclose(found, [[0.0], [2.5 * 1.5 / 2.0]])
    written = schema.to_dict(config)
    assert written["pi_q"] == {"kind": NAME, "slope": 2.5}
    assert schema.from_dict(Config, written) == config
    assert dict(schema.paths(config))["pi_q"] == NAME
    other = chosen(**{"pi_q.slope": "2.0"})
    names = {schema.fingerprint(c) for c in (config, other, algorithms.preset("mpo"))}
    assert len(names) == 3
    assert taxonomy.table1({"mine": config})[0]["pi_q"] == "Linear"


def test_an_optimiser_and_features_stand_by_their_names_too(own):
    changes = {
        "optim.policy": "own_weights:Sign",
        "optim.policy.rate": 0.25,
        "networks.critic.features": "own_weights:Sines",
    }
    config = schema.override(algorithms.preset("sac"), changes)
    config_rules.check(config)
    assert schema.from_dict(Config, schema.to_dict(config)) == config
    rule, params = config.optim.policy, {"w": jnp.array([1.0, 2.0])}
    grads = {"w": jnp.array([-3.0, 0.5])}
    state = optim.init(rule, None, params)
    found, _ = optim.step(rule, None, grads, state, params)
    np.testing.assert_allclose(found["w"], [1.25, 1.75])
    assert taxonomy.table4({"mine": config})[0]["optimizer"] == "Sign / Adam"
    net, x = config.networks.critic, jnp.ones((2, 3))
    tree = networks.init(net, jax.random.key(0), 3, 1)
    assert tree["hidden_0"]["kernel"].shape[0] == 6
    assert networks.apply(net, tree, x).shape == (2, 1)


def test_a_loss_of_critics_stands_by_its_name_and_is_descended(own):
    changes = {"critic.loss": "own_weights:Quartic", "critic.loss.weight": 3.0}
    config = schema.override(algorithms.preset("sac"), changes)
    config_rules.check(config)
    assert schema.from_dict(Config, schema.to_dict(config)) == config
    head, target = config.critic.head, jnp.array([1.0, -1.0])
    outputs = jnp.array([[[3.0], [0.0]]])  # one critic, two rows
    found = head.losses(outputs, target, 1.0, config.critic.loss)
    np.testing.assert_allclose(found, [[3.0 * 2.0**4, 3.0]])
    with pytest.raises(ConfigError, match=r"critic\.head=C51 has a loss of its own"):
        config_rules.check(schema.override(config, {"critic.head": "C51"}))


def test_what_it_needs_of_others_is_its_interfaces(own):
    with pytest.raises(ConfigError, match=r"pi_q=Linear it must be Analytic\.$"):
        config_rules.check(schema.override(chosen(), {"pi_q_update": "Proximal"}))


@pytest.mark.parametrize(
    "word, said",
    [
        (
            "own_weights:Lin",
            "made with @config after coadapt.factors.pi_q.base.Posterior",
        ),
        ("own_weights:Unlike", "made with @config after"),
        ("own_weights:Plain", "made with @config after"),
        ("no_such_module:Linear", "No module named 'no_such_module'"),
        ("Linear", "must be NonParametric or Episodic or Parametric"),
    ],
)
def test_another_class_is_refused(own, word, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        schema.override(algorithms.preset("mpo"), {"pi_q": word})


def test_a_file_imports_nothing(own):
    written = schema.to_dict(chosen())
    del sys.modules["own_weights"]
    with pytest.raises(ConfigError, match=r"\(--import=own_weights\)"):
        schema.from_dict(Config, written)
    assert "own_weights" not in sys.modules


def test_its_source_is_a_fact_of_a_session(own):
    others = provenance.own_modules()  # files of tests that add a class, too
    assert "own_weights" not in others
    chosen()
    first = provenance.own_modules()
    assert first.keys() - others.keys() == {"own_weights"}
    (own / "own_weights.py").write_text(MODULE + "# changed\n")
    assert provenance.own_modules()["own_weights"] != first["own_weights"]
    del sys.modules["own_weights"]
    assert provenance.own_modules() == others


def test_it_trains_is_saved_loaded_and_printed(own, tmp_path, capsys):
    store = tmp_path / "run"
    command = ["--algorithm=mpo", "--task=toy/lqr", f"--set=pi_q={NAME}", *SMALL]
    assert train.main([*command, f"--workdir={store}"]) == 0
    del sys.modules["own_weights"]
    with pytest.raises(ConfigError, match="--import=own_weights"):
        coadapt.load(store, variant="mpo", seed=0)
    capsys.readouterr()
    shown = ["--algorithm=mpo", "--task=toy/lqr", f"--set=pi_q={NAME}"]
    assert show.main([*shown, "--import=own_weights"]) == 0
    assert NAME in capsys.readouterr().out
    agent = coadapt.load(store, variant="mpo", seed=0)
    assert agent.config.pi_q.slope == 1.0
    assert show.main([*shown, "--import=own_weight"]) == 2
    assert "--import is 'own_weight'" in capsys.readouterr().err


# ---------------------------------------------------------------- torso and tasks

NETS = '''
import flax.linen as nn
import jax
import jax.numpy as jnp
from coadapt import envs, networks
from coadapt.envs import base, toy
from coadapt.networks.layers import Dense
from coadapt.schema import Size, config

@config
class Waves(networks.Torso):
    """One layer, and the sines of what it makes."""

    width: Size = 4  # of the layer
    activation: str = "sine"
    output: networks.Init = networks.Init()

    symbol = "waves"
    norm_symbol = "-"
    start = networks.Init()

    def layers(self):
        return (networks.Layer("hidden_0", self.width, "hidden_0", jnp.sin),)

    def products(self, inputs, outputs):
        return [(inputs, self.width), (self.width, outputs)]

    def module(self, outputs, precision):
        return Layers(self, outputs, precision)

class Layers(nn.Module):
    spec: Waves
    outputs: int
    precision: str

    @nn.compact
    def __call__(self, x):
        x = Dense(self.spec.width, networks.Init(), self.precision, name="hidden_0")(x)
        x = jnp.sin(x)
        last = Dense(self.outputs, self.spec.output, self.precision, name="output")
        return last(x), x

class Still(toy.OneStep):
    """One step, whose reward is the action."""

    num_actions = 0

    def advance(self, physics, action, key):
        return physics, action[0], jnp.array(True)

def spec(name):
    return base.EnvSpec(task=f"mine/{name}", obs_size=1, action_size=1, max_steps=1,
                        action_low=(-1.0,), action_high=(1.0,), provider="mine 1.0")

def make(name, count):
    return base.Autoreset(Still(), spec(name))

envs.FAMILIES["mine"] = envs.Family(make, spec, lambda: ["still"], on_host=False)
'''


@pytest.fixture
def nets(tmp_path, monkeypatch):
    with written("own_nets", NETS, tmp_path, monkeypatch) as folder:
        yield folder
    envs.FAMILIES.pop("mine", None)


def test_a_torso_and_a_family_of_tasks_train_are_loaded_and_printed(nets, capsys):
    """In one run of a policy that is all of the torso's, on a task of the family."""
    torso, task = "own_nets:Waves", "mine/still"
    command = [
        "--algorithm=sac", f"--task={task}", f"--set=networks.policy={torso}",
        "--set=networks.critic.sizes=8", *SMALL[2:5], *SMALL[6:],
        f"--workdir={nets / 'run'}",
    ]  # fmt: skip
    assert train.main([*command[:2], "--steps=40"]) == 2  # nobody has imported it yet
    assert "with a family of gym, dmc" in capsys.readouterr().err
    assert train.main([*command, "--import=own_nets"]) == 0
    agent = coadapt.load(nets / "run", variant="sac", seed=0)
    assert (agent.task, agent.spec.provider) == (task, "mine 1.0")
    layers = agent.state.params.policy["net"]
    assert layers["hidden_0"]["kernel"].shape == (1, 4)
    assert np.isfinite(agent.act(np.ones((2, 1)))).all()
    assert taxonomy.table4({"mine": agent.config})[0]["sizes (policy)"] == "waves"
    capsys.readouterr()
    assert show.main([*command[:3], "--import=own_nets"]) == 0
    assert torso in capsys.readouterr().out
