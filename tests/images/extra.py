"""A source file added to the service's images; see test_an_edit_changes_only_the_last_layer."""

WHAT = "an edit"
