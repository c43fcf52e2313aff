"""A source more than the service's images have; see test_an_edit_changes_only_the_last_layer."""

WHAT = "an edit"
