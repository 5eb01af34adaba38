"""When what nothing needs any more leaves the object store."""

from pydantic import Field

from hakoiri.host.settings_section import Section


class CollectionSettings(Section):
    """The collection of the store; times in seconds."""

    interval_s: float = Field(default=21_600, ge=0, le=2_592_000)
    """From one pass to the next; 0 means that the store only grows."""

    grace_s: float = Field(default=86_400, ge=7200, le=31_536_000)
    """So long must nothing have named an object before it goes; the longest save takes an hour."""

    archive_age_s: float = Field(default=2_592_000, ge=0, le=315_360_000)
    """Of a `file://` store, after which what lies in `archive/` is deleted; 0 means never.

    In a bucket, its lifecycle policy says so.
    """
