"""Measurements that need more than a checkout: an accelerator, or other programs."""
