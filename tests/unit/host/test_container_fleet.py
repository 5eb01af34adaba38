from hakoiri.host.container_fleet import pool_configuration
from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.settings import Settings, WarmPoolSettings
from hakoiri.wire.pool import PoolConfiguration, PoolSize


def test_the_settings_make_one_pool_of_the_usual_runtime() -> None:
    settings = Settings(
        container=ContainerSettings(runtime="runsc", runtimes="runc,runsc"),
        warm_pool=WarmPoolSettings(min=2, max=5, max_age_s=60, refills_at_once=3, preconnect=False),
    )
    assert pool_configuration(settings) == PoolConfiguration(
        runtimes={"runsc": PoolSize(min=2, target=4, max=5)},
        max_age_s=60,
        refills_at_once=3,
        preconnect=False,
    )
