"""Tables of background jobs and schedules."""
