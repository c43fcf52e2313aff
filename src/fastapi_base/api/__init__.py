"""The HTTP layer: parse the request, authorise it, call one service, build the response."""
