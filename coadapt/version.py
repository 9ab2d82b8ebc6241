"""The version, apart so that installing does not import the library."""

__version__ = "0.1.0"
