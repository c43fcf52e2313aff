"""The HTTP edge: parse, authorise, call one service, shape the reply."""
