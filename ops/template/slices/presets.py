"""Presets: which slices a new repository has."""

from collections.abc import Mapping

from ops.template.slices.manifest import Manifest, SliceError, chosen, dependents

#: Each preset with what it includes.
PRESETS = {
    "full": "every slice",
    "standard": "every slice but the examples",
    "minimal": "no slice",
}
DEFAULT = "full"


def removed(known: Mapping[str, Manifest], preset: str, without: str) -> list[str]:
    """The slices that a preset and a comma-separated list leave out.

    Raises SliceError for an unknown name, and if a slice that stays needs one that does not.
    """
    preset = preset or DEFAULT
    if preset not in PRESETS:
        raise SliceError(f"PRESET={preset}: does not exist; there are: {', '.join(PRESETS)}")
    gone = {
        one.name
        for one in known.values()
        if preset == "minimal" or (preset == "standard" and not one.standard)
    }
    asked = chosen(without, known) if without else []
    if others := sorted({*dependents(asked, known)} - gone):
        verb = "need" if len(others) > 1 else "needs"
        every = ",".join([*asked, *others])
        raise SliceError(
            f"WITHOUT={without}: {', '.join(others)} {verb} that; to leave out all: WITHOUT={every}"
        )
    return sorted(gone | {*asked})
