"""The signing hook: a user-defined command that gets the digest to sign."""

import shlex
import subprocess

from ops.build.oci.errors import OciError


def sign(command: str, reference: str) -> None:
    """Run the command with ``HOST/NAME@DIGEST`` as its last argument, and wait for it.

    It inherits the environment, the terminal and the working folder. Raises OciError if it fails,
    so that nothing unsigned is published as signed.
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
