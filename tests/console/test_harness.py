"""The fixtures of this folder notice what they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Watched


def test_errors_violations_and_foreign_requests_are_noticed(
    watch: Callable[..., Watched], origin: str
) -> None:
    watched = watch(origin)
    watched.expect(".")
    page = watched.context.new_page()
    page.goto("/openapi/ui/")
    page.evaluate("() => console.error('an error of the page')")
    page.evaluate(
        "() => { const image = new Image(); image.src = 'http://127.0.0.2:9/x.png'; document.body.append(image); }"
    )
    page.wait_for_function("() => document.images.length > 0")
    page.wait_for_timeout(100)

    assert any("an error of the page" in error for error in watched.errors)
    assert any("policy violation: img-src" in error for error in watched.errors)
