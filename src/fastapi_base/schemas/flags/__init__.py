"""Request and response models of feature flags."""
