"""Extensions of ASGI shared by the server and the application."""

# A scope extension: a coroutine function that aborts the connection, so that clients can
# distinguish a truncated response from a complete one.
CUT = "fastapi_base.cut"
