"""Tables of feature flags."""
