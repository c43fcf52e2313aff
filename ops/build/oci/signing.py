"""The hook for signing: a command of the user's, which is told what to sign by its digest."""

import shlex
import subprocess

from ops.oci.errors import OciError


def sign(command: str, reference: str) -> None:
    """Run the command with ``HOST/NAME@DIGEST`` as its last argument, and wait for its end.

    It has the environment, the terminal and the working folder of who publishes. Raises OciError
    when it fails, so that nothing unsigned is published as if it were.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise OciError(f"the command that signs, {command!r}, cannot be read: {error}") from None
    if not words:
        raise OciError("the command that signs is empty: name a program, such as `cosign sign`")
    try:
        code = subprocess.run([*words, reference], check=False).returncode
    except OSError as error:
        raise OciError(f"the command that signs does not run: {error}") from error
    if code:
        raise OciError(
            f"{reference} was not signed: {words[0]} ended with exit code {code}, so its tag was "
            "not moved; mend that and publish again"
        )
