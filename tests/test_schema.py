"""Configs: what is traced, what is static, how text and JSON become values."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coadapt import schema
from coadapt.factors import pi_theta
from coadapt.schema import (
    ConfigError,
    Count,
    Fraction,
    NonNegative,
    Positive,
    Range,
    Scalar,
    Size,
    Toggle,
    config,
)

ROOT = pathlib.Path(__file__).parent.parent


@config
class TD0:
    discount: Fraction = 0.99
    critics: int = 2


@config
class GAE:
    discount: Fraction = 0.99
    lam: Annotated[Scalar, Range(ge=0, lt=1)] = 0.95


@config
class NStep:
    discount: Fraction = 0.99
    n: Size


@config
class Gaussian:
    scale: Positive = 0.5
    bins: Size | None = None


@config
class TanhGaussian:
    scale: Annotated[Scalar, Range(gt=0, le=2)] = 1.0
    clamp: bool = False


@config
class Copy:
    pass


@config
class Trust:
    epsilon: NonNegative = 0.1
    inner: TD0 | Copy = TD0()


@config
class Net:
    sizes: tuple[Size, ...] = (256, 256)
    activation: Literal["relu", "tanh", "elu"] = "relu"
    layer_norm: Toggle = False
    box: tuple[float, float] = (-1.0, 1.0)
    tags: tuple[str, ...] = ()


@config
class Agent:
    g_estimate: TD0 | GAE | NStep = TD0()
    pi_theta: Gaussian | TanhGaussian = Gaussian()
    trust: Trust | Copy | None = None
    single: Trust | None = None
    net: Net = Net()
    rate: Positive = 3e-4
    floor: Scalar | None = None
    updates: Count = 1
    weight: float = 0.5
    limit: int | None = None
    offset: int = 0
    squash: bool = True
    name: str = "sac"
    mode: int | Literal["auto"] = "auto"


def changed(path, value):
    return schema.override(Agent(), {path: value})


def at(cfg, path):
    for name in path.split("."):
        cfg = getattr(cfg, name)
    return cfg


# Kinds


def test_hints_are_what_type_checkers_see():
    assert Agent.__annotations__["updates"].__origin__ is int
    assert Agent.__annotations__["rate"].__origin__ is float


def test_config_is_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Agent().rate = 1.0
    with pytest.raises(TypeError):
        TD0(0.9)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rate", 1e-3),
        ("updates", 7),
        ("net.layer_norm", True),
        ("g_estimate.discount", 0.5),
    ],
    ids=str,
)
def test_traced_field_keeps_the_compile_key(path, value):
    key = jax.tree.structure(Agent())
    assert jax.tree.structure(changed(path, value)) == key


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("g_estimate.critics", 1),
        ("g_estimate", "GAE"),
        ("pi_theta", "TanhGaussian"),
        ("trust", "Trust"),
        ("floor", 0.0),
        ("net.sizes", (256,)),
        ("net.activation", "tanh"),
        ("weight", 0.25),
        ("limit", 3),
        ("squash", False),
        ("name", "td3"),
    ],
    ids=str,
)
def test_static_field_changes_the_compile_key(path, value):
    key = jax.tree.structure(Agent())
    assert jax.tree.structure(changed(path, value)) != key
    assert hash(key) == hash(jax.tree.structure(Agent()))


def test_classes_that_have_the_same_fields_are_different_compile_keys():
    """Equality is what counts: tables compare where only a part of the hashes is alike,
    and by `jax.tree_util.register_dataclass` these structures would be equal."""
    first, second = (schema.config(type(name, (), {})) for name in ("One", "Other"))
    one, other = jax.tree.structure(first()), jax.tree.structure(second())
    assert one == jax.tree.structure(first())
    assert one != other
    scales = [pi_theta.LearnedStd(), pi_theta.LearnedLogStd()]
    assert jax.tree.structure(scales[0]) != jax.tree.structure(scales[1])
    with pytest.raises(ValueError, match="is not the same program"):
        schema.stack(scales)


def test_leaves_are_the_traced_fields_in_declared_order():
    cfg = Agent(trust=Trust(), floor=2.0)
    assert jax.tree.leaves(cfg) == [0.99, 0.5, 0.1, 0.99, False, 3e-4, 2.0, 1]


@pytest.mark.parametrize(
    "hint",
    [
        dict,
        list[int],
        tuple,
        TD0 | int,
        Scalar | int,
        Scalar | Count,
        tuple[TD0, ...],
        tuple[Scalar, ...],
        Annotated[str, Range(ge=0)],
        Literal[b"x"],
    ],
    ids=str,
)
def test_hint_without_a_meaning_is_refused_where_the_class_is_made(hint):
    with pytest.raises(TypeError, match=r"^Bad\.field: "):
        config(type("Bad", (), {"__annotations__": {"field": hint}}))


def test_two_classes_of_one_name_cannot_share_a_union():
    other = config(type("TD0", (), {"__annotations__": {}}))
    with pytest.raises(TypeError, match="distinct names"):
        config(type("Bad", (), {"__annotations__": {"field": TD0 | other}}))


def test_field_named_kind_is_refused():
    with pytest.raises(TypeError, match="kind"):
        config(type("Bad", (), {"__annotations__": {"kind": int}}))


# Stack


def test_stack_reads_dtypes_from_hints():
    stacked = schema.stack([Agent(rate=1), changed("rate", 0.5)])
    assert stacked.rate.dtype == jnp.float32
    assert stacked.updates.dtype == jnp.int32
    assert stacked.net.layer_norm.dtype == jnp.bool_
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(stacked))
    np.testing.assert_array_equal(stacked.rate, np.float32([1.0, 0.5]))
    assert stacked.net.sizes == (256, 256)


def test_stacked_config_does_not_retrace():
    traces = []

    @jax.jit
    def f(cfg):
        traces.append(cfg)
        return cfg.rate * cfg.g_estimate.discount

    f(schema.stack([Agent(rate=1), Agent(rate=2.0)]))
    f(schema.stack([Agent(rate=0.1), Agent(rate=np.float64(3))]))
    assert len(traces) == 1
    f(schema.stack([changed("g_estimate", "GAE")] * 2))
    assert len(traces) == 2


def test_stack_goes_through_vmap():
    cfgs = [Agent(floor=1.0), Agent(floor=3.0)]
    out = jax.vmap(lambda cfg: cfg.floor * 2)(schema.stack(cfgs))
    np.testing.assert_array_equal(out, np.float32([2.0, 6.0]))


def test_stack_of_two_programs_names_the_difference():
    other = schema.override(Agent(), {"g_estimate.critics": 1, "rate": 0.1})
    with pytest.raises(ValueError, match=r"configs\[1\].*in g_estimate\.critics, and"):
        schema.stack([Agent(), other])


def test_stack_of_nothing():
    with pytest.raises(ValueError, match="at least one"):
        schema.stack([])


# Override


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("rate", "3e-4", 3e-4),
        ("rate", 1, 1.0),
        ("rate", np.float32(0.5), 0.5),
        ("rate", jnp.float32(0.5), 0.5),
        ("updates", "1_000", 1000),
        ("updates", "1e6", 1_000_000),
        ("updates", np.int64(3), 3),
        ("offset", str(2**70 + 1), 2**70 + 1),
        ("offset", " -3 ", -3),
        ("squash", "off", False),
        ("squash", "No", False),
        ("squash", "0", False),
        ("squash", "TRUE", True),
        ("squash", "on", True),
        ("squash", "yes", True),
        ("squash", np.bool_(False), False),
        ("net.layer_norm", "1", True),
        ("net.activation", "tanh", "tanh"),
        ("net.sizes", "64,32", (64, 32)),
        ("net.sizes", "(64, 32)", (64, 32)),
        ("net.sizes", "[64, 1e2,]", (64, 100)),
        ("net.sizes", "64", (64,)),
        ("net.sizes", "()", ()),
        ("net.sizes", [64, 32], (64, 32)),
        ("net.box", "0,1", (0.0, 1.0)),
        ("net.tags", "a, b", ("a", "b")),
        ("limit", "none", None),
        ("limit", "5", 5),
        ("limit", None, None),
        ("floor", "2", 2.0),
        ("floor", "None", None),
        ("mode", "auto", "auto"),
        ("mode", "4", 4),
        ("name", "3e-4", "3e-4"),
        ("g_estimate", "GAE", GAE()),
        ("g_estimate", GAE, GAE()),
        ("g_estimate", NStep(n=3), NStep(n=3)),
        ("trust", "Copy", Copy()),
        ("single", "Trust", Trust()),
        ("single", "none", None),
    ],
    ids=lambda v: f"{type(v).__name__} {v}",
)
def test_override_reads_a_value_by_its_hint(path, value, expected):
    got = at(changed(path, value), path)
    assert got == expected
    assert type(got) is type(expected)


def test_new_class_keeps_fields_that_are_valid_for_it():
    start = schema.override(Agent(), {"pi_theta.scale": 1.5, "pi_theta.bins": 11})
    after = schema.override(start, {"pi_theta": "TanhGaussian"})
    assert after.pi_theta == TanhGaussian(scale=1.5)


def test_new_class_takes_its_default_where_the_old_value_is_out_of_range():
    start = changed("pi_theta.scale", 5.0)
    after = schema.override(start, {"pi_theta": TanhGaussian})
    assert after.pi_theta == TanhGaussian()


def test_required_field_may_carry_over():
    start = changed("g_estimate", NStep(n=3, discount=0.5))
    assert schema.override(start, {"g_estimate": "GAE"}).g_estimate.discount == 0.5


def test_same_class_by_name_keeps_the_value():
    start = changed("g_estimate.discount", 0.5)
    assert schema.override(start, {"g_estimate": "TD0"}) == start


def test_changes_are_applied_in_order():
    changes = {"trust": "Trust", "trust.inner.critics": "1", "trust.epsilon": "0"}
    after = schema.override(Agent(), changes)
    assert after.trust == Trust(epsilon=0.0, inner=TD0(critics=1))


def test_fields_that_are_changed_together_have_one_key():
    tied = changed("updates+offset", "7")
    assert tied == schema.override(Agent(), {"updates": 7, "offset": 7}) != Agent()


def test_override_leaves_its_argument_alone():
    start = Agent()
    schema.override(start, {"rate": 1.0})
    assert start == Agent()


def test_paths_feed_override():
    cfg = schema.override(Agent(), {"g_estimate": "GAE", "trust": "Trust", "limit": 3})
    assert schema.override(Agent(), dict(schema.paths(cfg))) == cfg


# Errors: each row is a path, a value, and what the sentence has to say


ERRORS = {
    "range of a scalar": ("rate", -1.0, "rate is -1.0|a finite float32 > 0"),
    "zero is not positive": ("rate", "0", "rate is '0'|a finite float32 > 0"),
    "nan": ("rate", float("nan"), "rate is nan|a finite float32"),
    "nan in text": ("rate", "nan", "rate is 'nan'|a finite float32"),
    "inf": ("g_estimate.discount", np.inf, "g_estimate.discount is inf|>= 0 and <= 1"),
    "beyond float32": ("rate", 1e39, "rate is 1e+39|float32"),
    "huge int for a scalar": ("rate", 10**5000, "rate is some int|float32"),
    "bool for a scalar": ("rate", True, "rate is True|a finite float32 > 0"),
    "array for a scalar": ("rate", np.ones(2), "rate is array([1., 1.])|float32"),
    "beyond int32": ("updates", 2**31, "updates is 2147483648|an int32"),
    "fraction for an int": ("updates", "1.5", "updates is '1.5'|an int32"),
    "float for an int": ("offset", 2.0, "offset is 2.0|an int"),
    "inf for an int": ("offset", "1e999", "offset is '1e999'|an int"),
    "int for a bool": ("squash", 1, "squash is 1|true or false"),
    "word for a bool": ("squash", "maybe", "squash is 'maybe'|true or false"),
    "number for a string": ("name", 3, "name is 3|a string"),
    "literal": (
        "net.activation",
        "rellu",
        "net.activation is 'rellu'|'elu' or 'relu' or 'tanh'; did you mean 'relu'?",
    ),
    "item of a tuple": (
        "net.sizes",
        "64,0",
        "net.sizes is '64,0'|a tuple, each item an int >= 1",
    ),
    "length of a tuple": (
        "net.box",
        (0.0,),
        "net.box is (0.0,)|a tuple of (a finite float, a finite float)",
    ),
    "empty text for a tuple": ("net.sizes", "", "net.sizes is ''|a tuple"),
    "none where there is none": ("rate", None, "rate is None|a finite float32 > 0"),
    "class": (
        "g_estimate",
        "gea",
        "g_estimate is 'gea'|must be TD0 or GAE or NStep; did you mean 'GAE'?",
    ),
    "class of another union": (
        "g_estimate",
        Gaussian,
        "g_estimate is Gaussian|TD0 or GAE or NStep",
    ),
    "instance of another union": (
        "g_estimate",
        Gaussian(),
        "g_estimate is a Gaussian|TD0 or GAE or NStep",
    ),
    "field of an instance": (
        "g_estimate",
        NStep(n=0),
        "g_estimate.n is 0|an int >= 1",
    ),
    "none for a union": ("g_estimate", "none", "g_estimate is 'none'|TD0 or GAE"),
    "required field": (
        "g_estimate",
        "NStep",
        "g_estimate.n is missing|NStep has no default|an int >= 1",
    ),
    "field of a sibling": (
        "g_estimate.lam",
        0.9,
        (
            "g_estimate.lam is not a field of TD0 (it has discount, critics)"
            "|; GAE has it"
        ),
    ),
    "misspelt field": (
        "g_estimate.discuont",
        0.9,
        "g_estimate.discuont is not a field of TD0|did you mean 'discount'?",
    ),
    "misspelt root": (
        "g_estimat.lam",
        1,
        "g_estimat is not|did you mean 'g_estimate'?",
    ),
    "under none": (
        "trust.epsilon",
        1,
        "trust.epsilon is not a field of None|; Trust has it",
    ),
    "misspelt under none": (
        "trust.epsilom",
        1,
        "trust.epsilom is not|trust may be Trust or Copy; did you mean 'epsilon'?",
    ),
    "under a leaf": ("rate.x", 1, "rate.x is not a field of 0.0003 (it has none)"),
    "empty path": ("", 1, "'' is not a field of Agent (it has g_estimate, "),
}


@pytest.mark.parametrize(("path", "value", "parts"), ERRORS.values(), ids=ERRORS)
def test_override_error_says_path_value_allowed_and_nearest(path, value, parts):
    with pytest.raises(ConfigError) as caught:
        changed(path, value)
    message = str(caught.value)
    assert [part for part in parts.split("|") if part not in message] == []
    assert "\n" not in message


@pytest.mark.parametrize("end", ["", ".", "?", "!", "\n"])
def test_a_refusal_is_a_line_with_one_end(end):
    text = str(ConfigError(f"a is\n'b': it must be c{end}"))
    assert text == f"a is 'b': it must be c{end.strip() or '.'}"


@pytest.mark.parametrize(
    ("word", "end"), [("lqrr", "; did you mean 'toy/lqr'?"), ("x", ".")]
)
def test_a_refusal_ends_with_the_nearest_name_if_one_is_near(word, end):
    near = schema.nearest(word, ["chain", "lqr"], "toy/")
    assert str(ConfigError(f"it must be toy/lqr{near}")) == f"it must be toy/lqr{end}"


def test_message_is_the_same_whatever_literal_was_met_first():
    @config
    class Other:
        activation: Literal["tanh", "relu", "elu"] | None = None

    messages = []
    for made in (Other(), Net()):  # equal hints, in another order
        with pytest.raises(ConfigError) as caught:
            schema.override(made, {"activation": "rellu"})
        messages.append(str(caught.value).replace(" or None", ""))
    assert messages[0] == messages[1]


INVALID = {
    "scalar": (Agent(rate=0.0), "rate is 0.0"),
    "text for a scalar": (Agent(rate="0.1"), "rate is '0.1'"),
    "list for a tuple": (Agent(net=Net(sizes=[1])), "net.sizes is [1]"),
    "nested": (
        Agent(trust=Trust(inner=TD0(critics="2"))),
        "trust.inner.critics is '2'",
    ),
    "class": (Agent(net=TD0()), "net is a TD0, but must be Net"),
    "default of Optional": (
        Agent(limit="x"),
        "limit is 'x', but must be an int or None",
    ),
    "object": (Agent(name=object), "name is object, but must be a string"),
}


@pytest.mark.parametrize(("cfg", "message"), INVALID.values(), ids=INVALID)
def test_validate_and_to_dict_refuse(cfg, message):
    with pytest.raises(ConfigError) as caught:
        schema.validate(cfg, "agent")
    assert str(caught.value).startswith(f"agent.{message}")
    with pytest.raises(ConfigError) as caught:
        schema.to_dict(cfg)
    assert str(caught.value).startswith(message)


def test_validate_accepts_what_numpy_and_python_call_numbers():
    schema.validate(Agent(rate=1, updates=np.int32(2), squash=np.bool_(True)))
    schema.validate(Agent(rate=np.float32(1), floor=jnp.float32(1), weight=1))


def test_validate_wants_a_config():
    with pytest.raises(TypeError, match="int is not a class made with @config"):
        schema.validate(3)


@pytest.mark.parametrize(
    ("word", "phrase"),
    [
        ("gea", "; did you mean 'GAE'?"),
        ("zzz", ""),
        ("", ""),
        ("x" * 10**6, ""),
    ],
    ids=["near", "far", "empty", "long"],
)
def test_nearest(word, phrase):
    assert schema.nearest(word, ["TD0", "GAE"]) == phrase


# JSON


def test_to_dict_is_plain_json_with_kinds_only_in_unions():
    data = schema.to_dict(Agent(rate=1, trust=Copy(), single=Trust()))
    assert json.loads(json.dumps(data)) == data
    assert data["g_estimate"] == {"kind": "TD0", "discount": 0.99, "critics": 2}
    assert data["trust"] == {"kind": "Copy"}
    assert data["single"]["epsilon"] == 0.1
    assert "kind" not in data["single"]
    assert data["net"]["sizes"] == [256, 256]
    assert repr(data["rate"]) == "1.0"


BAD_JSON = {
    "not an object": ([], "the config is []|must be an object with"),
    "unknown key": ({"ratee": 1}, "ratee is not a field of Agent|mean 'rate'?"),
    "text for a number": ({"rate": "1"}, "rate is '1'|a finite float32 > 0"),
    "float for an int": ({"updates": 1.0}, "updates is 1.0|an int32"),
    "null": ({"net": None}, "net is None|must be Net"),
    "list for an object": ({"g_estimate": []}, "g_estimate is []|TD0 or GAE or NStep"),
    "no kind": ({"g_estimate": {}}, "g_estimate.kind is None|TD0 or GAE or NStep"),
    "kind": (
        {"g_estimate": {"kind": "GEA"}},
        "g_estimate.kind is 'GEA'|TD0 or GAE or NStep; did you mean 'GAE'?",
    ),
    "kind of a wrong type": ({"trust": {"kind": []}}, "trust.kind is []|Trust or Copy"),
    "required key": (
        {"g_estimate": {"kind": "NStep"}},
        "g_estimate.n is missing|an int >= 1",
    ),
    "key of a sibling": (
        {"g_estimate": {"kind": "TD0", "lam": 1}},
        "g_estimate.lam is not a field of TD0 (it has discount, critics)",
    ),
    "kind outside a union": (
        {"net": {"kind": "Net"}},
        "net.kind is not a field of Net",
    ),
    "deep": ({"net": {"box": [[], 1]}}, "net.box is [[], 1]|a tuple of"),
    "an instance": ({"g_estimate": TD0()}, "g_estimate is a TD0"),
}


@pytest.mark.parametrize(("data", "parts"), BAD_JSON.values(), ids=BAD_JSON)
def test_from_dict_is_strict(data, parts):
    with pytest.raises(ConfigError) as caught:
        schema.from_dict(Agent, data)
    missing = [part for part in parts.split("|") if part not in str(caught.value)]
    assert missing == []


def test_from_dict_survives_depth():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for data in (deep, {"net": deep}, {"net": {"sizes": deep}}, {"rate": deep}):
        with pytest.raises(ConfigError):
            schema.from_dict(Agent, data)


def test_absent_key_takes_its_default():
    assert schema.from_dict(Agent, {}) == Agent()


def floats(low, high):
    return st.floats(low, high, allow_nan=False, width=64)


nets = st.builds(
    Net,
    sizes=st.lists(st.integers(1, 2**40), max_size=3).map(tuple),
    activation=st.sampled_from(["relu", "tanh", "elu"]),
    layer_norm=st.booleans(),
    box=st.tuples(floats(None, None), floats(-1e300, 1e300)).filter(
        lambda box: np.isfinite(box[0])
    ),
    tags=st.lists(st.text(), max_size=2).map(tuple),
)
trusts = st.builds(
    Trust,
    epsilon=floats(0, 1e38),
    inner=st.builds(Copy) | st.builds(TD0, critics=st.integers()),
)
agents = st.builds(
    Agent,
    g_estimate=st.builds(TD0, discount=floats(0, 1))
    | st.builds(GAE, lam=floats(0, 0.999))
    | st.builds(NStep, n=st.integers(1, 9)),
    trust=st.none() | st.builds(Copy) | trusts,
    single=st.none() | trusts,
    net=nets,
    rate=floats(1e-30, 1e30) | st.integers(1, 9),
    floor=st.none() | floats(-1e38, 1e38),
    limit=st.none() | st.integers(),
    name=st.text(),
    mode=st.just("auto") | st.integers(),
)


@settings(deadline=None)
@given(agents)
def test_json_round_trip(cfg):
    data = schema.to_dict(cfg)
    back = schema.from_dict(Agent, json.loads(json.dumps(data)))
    assert back == cfg
    assert schema.to_dict(back) == data
    assert schema.fingerprint(back) == schema.fingerprint(cfg)
    assert jax.tree.structure(back) == jax.tree.structure(cfg)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*schema.to_dict(Agent()), "kind", "discount", "sizes"])
            | st.text(),
            inner | st.sampled_from(["TD0", "GAE", "NStep", "Trust"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values)
def test_any_json_gives_a_config_or_a_config_error(data):
    try:
        cfg = schema.from_dict(Agent, data)
    except ConfigError:
        return
    schema.validate(cfg)


words = st.sampled_from(
    ["g_estimate", "trust", "net", "rate", "sizes", "lam", "inner", "mode", "limit", ""]
)


@settings(deadline=None)
@given(
    st.lists(words | st.text(max_size=5), max_size=4).map(".".join) | st.text(),
    json_values | st.sampled_from(["GAE", "none", "1e6", "(1,2)", "Trust", "1e999"]),
)
def test_any_change_gives_a_config_or_a_config_error(path, value):
    try:
        cfg = changed(path, value)
    except ConfigError:
        return
    schema.validate(cfg)
    hash(jax.tree.structure(cfg))


# Fingerprints, paths and differences


FINGERPRINT = "8b87d21b61f6b777"


def test_fingerprint_is_the_one_of_every_machine():
    assert schema.fingerprint(Agent()) == FINGERPRINT


def test_fingerprint_of_another_process():
    code = "import test_schema as t; print(t.schema.fingerprint(t.Agent()))"
    search = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    env = os.environ | {"PYTHONHASHSEED": "4", "PYTHONPATH": search}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == FINGERPRINT


def test_fingerprint_follows_values_not_python_types():
    assert schema.fingerprint(Agent(rate=1)) == schema.fingerprint(Agent(rate=1.0))
    assert schema.fingerprint(Agent(floor=0)) == schema.fingerprint(Agent(floor=-0.0))
    names = {
        schema.fingerprint(cfg) for cfg in (Agent(), Agent(rate=1), Agent(limit=1))
    }
    assert len(names) == 3


def test_paths_are_in_declared_order_and_name_the_class_of_a_union():
    listed = list(schema.paths(Agent(trust=Copy(), net=Net(sizes=(8,)))))
    assert listed[:9] == [
        ("g_estimate", "TD0"),
        ("g_estimate.discount", 0.99),
        ("g_estimate.critics", 2),
        ("pi_theta", "Gaussian"),
        ("pi_theta.scale", 0.5),
        ("pi_theta.bins", None),
        ("trust", "Copy"),
        ("single", None),
        ("net.sizes", (8,)),
    ]


def test_diff():
    other = schema.override(Agent(), {"g_estimate": "GAE", "rate": 1.0})
    assert schema.diff(Agent(), other) == {
        "g_estimate": ("TD0", "GAE"),
        "g_estimate.critics": (2, None),
        "rate": (3e-4, 1.0),
        "g_estimate.lam": (None, 0.95),
    }
    assert schema.diff(Agent(rate=1), Agent(rate=1.0)) == {}
