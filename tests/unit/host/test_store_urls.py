from hakoiri.host.settings import Settings
from hakoiri.host.store_urls import database_url, object_store_url


def test_without_a_word_the_stores_lie_in_the_data_directory() -> None:
    settings = Settings.model_validate({"data_dir": "/srv/h"})
    assert database_url(settings) == "sqlite:////srv/h/hakoiri.sqlite"
    assert object_store_url(settings) == "file:///srv/h/objects"


def test_what_is_set_counts() -> None:
    settings = Settings.model_validate(
        {"database_url": "postgresql:///h", "object_store_url": "s3://bucket"}
    )
    assert database_url(settings) == "postgresql:///h"
    assert object_store_url(settings) == "s3://bucket"
