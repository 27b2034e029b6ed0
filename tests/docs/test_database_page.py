"""The statements of docs/operate/databases-stores.md make a user and a database that Trunkline can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handbook_page import blocks_run_by

from trunkline.meta import install
from trunkline.meta.database import Database

if TYPE_CHECKING:
    from postgres_server import PostgresServer

PAGE = "docs/operate/databases-stores.md"


def test_the_owner_that_the_page_creates_can_install_the_tables(postgres: PostgresServer) -> None:
    (block,) = blocks_run_by(__file__, PAGE)
    try:
        for statement in block.text.rstrip().removesuffix(";").split(";\n"):
            postgres.execute(statement)
        db = Database(postgres.url("trunkline", user="trunkline"), lambda _: None)

        install.install(db, 0)

        db.close()
        assert postgres.execute(
            "select count(*) > 10 from pg_tables where tableowner = 'trunkline'", "trunkline"
        ) == [(True,)]
    finally:
        postgres.execute("drop database if exists trunkline")
        postgres.execute("drop role if exists trunkline")
