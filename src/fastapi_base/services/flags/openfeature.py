"""An OpenFeature provider for the feature flags (specification 0.8)."""

import uuid
from collections.abc import Mapping, Sequence

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from fastapi_base.core.flags import FLAGS
from fastapi_base.services.flags.flags import Flags

DOMAIN = "fastapi-base"


class FlagProvider(AbstractProvider):
    """Evaluates flags from the snapshot of `flags`. The targeting key is the id of an account."""

    def __init__(self, flags: Flags) -> None:
        super().__init__()
        self._flags = flags

    def get_metadata(self) -> Metadata:
        """The name of this provider."""
        return Metadata(name=DOMAIN)

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """A boolean flag."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A string flag."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """An integer flag."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """A float flag."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """No flag of ours is an object."""
        raise TypeMismatchError(f"{flag_key} is not an object")

    def _resolve[T: bool | int | float | str](
        self, name: str, default: T, context: EvaluationContext | None
    ) -> FlagResolutionDetails[T]:
        flag = FLAGS.get(name)
        if flag is None:
            raise FlagNotFoundError(f"the flag {name} does not exist")
        if type(flag.default) is not type(default):
            raise TypeMismatchError(f"{name} is a {type(flag.default).__name__}")
        value = self._flags.value(flag, _account(context))
        usual = value == self._flags.default(flag)
        reason = Reason.DEFAULT if usual else Reason.TARGETING_MATCH
        return FlagResolutionDetails(value=value, reason=reason)  # type: ignore[arg-type]


def _account(context: EvaluationContext | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(context.targeting_key or "") if context else None
    except ValueError:
        return None
