"""Whatever stands in an Upstart job: it becomes a unit that is read without a remark, or is refused in one line."""

import pytest
from hypothesis import HealthCheck, event, given, settings

from cross_init.definitions.units import read_unit
from cross_init.definitions.upstart_jobs import read_job
from cross_init.errors import Failure
from cross_init.writers.systemd import write
from tests.systems.test_upstart_real_reading import files


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(files)
def test_a_job_becomes_a_unit_or_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "web.conf").write_text(text, newline="")
    try:
        definition, remarks = read_job(f"{folder}/web.conf")
        texts = write(definition, remarks)
    except Failure:
        event("refused")
        return
    for name, unit in texts.items():
        (folder / name).write_text(unit)
    name = definition.name.replace("@.", "@a.")
    found, said = read_unit(f"{folder}/{name}")
    assert said == []
    assert len(found.commands.start) == 1
