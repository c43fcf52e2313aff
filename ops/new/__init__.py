"""A repository of your own out of this one."""
