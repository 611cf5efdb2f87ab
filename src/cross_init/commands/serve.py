"""cross-init serve: watch all daemons of this user's that bridges hand over (resident/)."""

from cross_init.errors import Failure, why


def run(words: list[str]) -> tuple[int, str]:
    """Serve until told to stop. Returns the exit code, and nothing to say. Raises Failure."""
    if words:
        raise Failure(f"serve {words[0]}: it takes nothing")
    from cross_init.resident.beginning import begin
    from cross_init.start import HOLDER, bury_holder

    if HOLDER:
        bury_holder()
    try:
        begun = begin()
        from cross_init.resident.serve import run as serve

        serve(begun)
    except OSError as error:
        raise Failure(f"serve: {why(error)}") from None
    return 0, ""
