"""Routes of feature flags."""
