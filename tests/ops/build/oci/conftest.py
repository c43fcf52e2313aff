"""Settings of Hypothesis for these tests."""

from hypothesis import HealthCheck, settings

# Each example writes files, and a shared machine is slow at times.
settings.register_profile(
    "oci", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("oci")
