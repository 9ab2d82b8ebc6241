"""Experience, kept on the device."""
