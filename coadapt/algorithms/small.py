"""The small networks of on-policy algorithms (settings 3.6, 3.7)."""

from coadapt.networks import MLP, Init, InputNorm

FOREVER = 2**31 - 1  # the moments of observations are never frozen; settings 3.6


def network(output: float, hidden: float = 1.0) -> MLP:
    """64-64, tanh, orthogonal, with these gains of the last layer and of the others."""
    return MLP(
        sizes=(64, 64),  # settings 3.6
        activation="tanh",  # settings 3.6
        hidden=Init(weights="orthogonal", scale=hidden, bias="zeros"),
        output=Init(weights="orthogonal", scale=output, bias="zeros"),
    )


def input_norm() -> InputNorm:
    """Clipped to +-5, counted all along."""
    return InputNorm(limit=5.0, until=FOREVER)  # settings 3.6
