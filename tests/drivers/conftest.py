from __future__ import annotations

import pytest
from package_index import PackageIndex, make_wheel


@pytest.fixture
def index(monkeypatch):
    """The package index that builds of images use, with one wheel in it."""
    index = PackageIndex()
    index.packages["hello-1.0-py3-none-any.whl"] = make_wheel()
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield index
    index.close()
