"""Read a service's definition, whoever it was written for: by its name or path the reader is known."""

from cross_init.definitions.said import Unit


def load(said: str, of_user: bool = False, unit_path: tuple[str, ...] = ()) -> Unit:
    """A systemd unit, or an Upstart job (.conf). Raises Failure."""
    if said.endswith(".conf"):
        from cross_init.definitions.upstart_jobs import load_job

        return load_job(said)
    from cross_init.definitions.units import load as load_unit

    return load_unit(said, of_user, unit_path)
