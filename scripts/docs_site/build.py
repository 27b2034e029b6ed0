"""Builds the site: static files below ``build/handbook/site``, and the package's copy, whose texts are compressed.

    python -m docs_site.build

Zensical renders the pages. What it does not do is done here: each page also as Markdown, ``llms.txt``, redirects of
old addresses, a page for unknown addresses that works at any depth, and the hashes of inline scripts and styles for the
content policy, under which the server shows the pages (``rpc.asgi.handbook``).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from docs_site import digest, sources

#: Where the server has the site; only the page for unknown addresses depends on it.
MOUNT = "/docs/"
#: Pages that the search finds by their titles: how it is built, reasons, measurements, history.
_BY_TITLE = ("design/", "benchmarks/", "changes/", "contributing/")
#: Endings of files that are stored compressed.
TEXTS = {".css", ".html", ".js", ".json", ".md", ".svg", ".txt", ".xml", ".yaml"}
_INLINE_SCRIPT = re.compile(r"<script(?P<attributes>(?:\s[^>]*)?)>(?P<code>.*?)</script>", re.DOTALL)
#: The search's style sheet: a text in the theme's script, just before the function that adds it to the page.
_SEARCH_STYLE = re.compile(r"=(['\"])((?:(?!\1)[^\\]|\\.)*)\1;function \w+\(\w+,\{index\$")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class Settings(yaml.SafeLoader):
    """Reads the settings of the site; functions of Python that they name are for Zensical."""


Settings.add_multi_constructor("tag:yaml.org,2002:python/", lambda _loader, _suffix, _node: None)


def main(root: Path) -> int:
    """Build the site of a repository and put it into the package."""
    begun = time.monotonic()
    work = root / "build" / "handbook"
    try:
        site = build(root, work)
    except (sources.SourceError, subprocess.CalledProcessError) as error:
        print(f"docs: {getattr(error, 'stderr', None) or error}", file=sys.stderr)
        return 1
    packed = work / "packed"
    size = pack(site, packed, digest.digest(root))
    place = root / digest.PLACE
    shutil.rmtree(place, ignore_errors=True)
    packed.rename(place)
    pages = sum(1 for _ in site.rglob("*.html"))
    print(f"docs: {pages} pages, {size / 2**20:.1f} MiB in the package, {time.monotonic() - begun:.1f} s")
    return 0


def build(root: Path, work: Path) -> Path:
    """Build the site and return its folder.

    Args:
        root: of the repository.
        work: folder for sources, caches and the site; what it holds from the last build makes the next one faster.

    Raises:
        SourceError: a source is not valid.
        CalledProcessError: Zensical found a mistake, such as a link that leads nowhere; ``stderr`` names it.
    """
    places = sources.pages_of(root)
    texts = _prepare(root, work / "docs", places)
    titles = {page: sources.title_of(text, page) for page, text in texts.items()}
    text = (root / "mkdocs.yml").read_text()
    settings = yaml.load(text, Settings)
    names = {
        page: title.removeprefix("trunkline ") for page, title in titles.items()
    }  # of commands, in the menu
    settings["nav"] = sources.expanded(settings["nav"], texts, names)
    head = text.partition("\nnav:")[0]
    menu = yaml.safe_dump({"nav": settings["nav"]}, allow_unicode=True, sort_keys=False)
    _write(work / "mkdocs.yml", f"{head}\n{menu}".encode())
    _render(work)
    site = work / "site"
    for page, text in texts.items():
        _write(site / page, sources.front_matter(text)[1].encode())
    originals = {page: (root / places[page]).read_text() for page in texts}
    summaries = {page: sources.summary_of(text) for page, text in originals.items()}
    _write(site / "llms.txt", llms(settings, titles, summaries).encode())
    _write(site / "search.json", search_index((site / "search.json").read_bytes()))
    for old, new in redirects((root / "docs" / "addresses.txt").read_text()).items():
        _write(site / old / "index.html", redirect(old, new).encode())
    _finish(site)
    return site


def _prepare(root: Path, folder: Path, places: dict[str, str]) -> dict[str, str]:
    """Write the sources that have changed, remove those that are gone, and return the pages by path.

    Of the other files only those are written that a page names, and those of the site's own folder ``assets``.
    """
    sites = {source: page for page, source in places.items()}
    texts = {
        page: sources.prepared((root / source).read_text(), source, page, sites)
        for page, source in places.items()
        if page.endswith(".md")
    }
    used = {file for page, text in texts.items() for file in sources.files_of(text, page)}
    written = {page for page in places if page in texts or page in used or page.startswith("assets/")}
    for page in written:
        content = texts[page].encode() if page in texts else (root / places[page]).read_bytes()
        _write(folder / page, content)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in written:
            path.unlink()
    return texts


def _render(work: Path) -> None:
    """Run Zensical, which writes ``site``."""
    shutil.rmtree(work / "site", ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    run = subprocess.run(
        command, cwd=work, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"}
    )
    if run.returncode or not (work / "site" / "index.html").is_file():
        output = _ESCAPES.sub("", run.stdout + run.stderr).partition("Traceback")[0]
        raise subprocess.CalledProcessError(run.returncode, command, stderr=output)


def _finish(site: Path) -> None:
    """Change what Zensical writes: links to Markdown, empty titles of tables, the page for unknown addresses."""
    (site / "sitemap.xml").unlink(
        missing_ok=True
    )  # needs an address of the site, which each server has its own
    for path in site.rglob("*.html"):
        text = path.read_text()
        page = path.parent.relative_to(site)
        markdown = next(
            (name for name in (f"{page}.md", f"{page}/index.md") if (site / name).is_file()), None
        )
        if path.name == "index.html" and markdown is not None:
            link = posixpath.relpath(posixpath.normpath(markdown), page.as_posix())
            text = text.replace(
                "</head>",
                f'<link rel="alternate" type="text/markdown" href="{html.escape(link)}">\n  </head>',
                1,
            )
        text = re.sub(r"<th(?: [^>]*)?></th>", "<td></td>", text)  # an empty cell is the title of nothing
        if path == site / "404.html":
            text = _unknown_page(text)
        path.write_text(text)


def _unknown_page(text: str) -> str:
    text = re.sub(r'((?:href|src)="|new URL\("|"(?:base|search)":")/', rf"\1{MOUNT}", text)
    text = text.replace(f'"base":"{MOUNT}"', f'"base":"{MOUNT[:-1]}"')
    words = (
        "<h1>No such page</h1><p>The handbook of this version has no page at this address. "
        f'<a href="{MOUNT}?q=">Search the handbook</a>, or start at <a href="{MOUNT}">its first page</a>.</p>'
    )
    return re.sub(r"<h1>404[^<]*</h1>", words, text)


def llms(settings: dict[str, Any], titles: dict[str, str], summaries: dict[str, str]) -> str:
    """Return the list of pages for programs that read Markdown (llmstxt.org).

    Args:
        settings: of the site, with the whole menu.
        titles: by path of the page.
        summaries: by path of the page.
    """
    lines = [f"# {settings['site_name']}", "", f"> {settings['site_description']}"]
    for entry in settings["nav"]:
        lines += ["", f"## {next(iter(entry))}", ""]
        for page in sources.pages_below(entry):
            summary = f": {summaries[page]}" if summaries[page] else ""
            lines.append(f"- [{titles[page]}]({page}){summary}")
    return "\n".join([*lines, ""])


def search_index(content: bytes) -> bytes:
    """Return the search index with only the titles of pages that have the words of all questions and answer few.

    Args:
        content: of ``search.json``.
    """
    index = json.loads(content)
    items = []
    for item in index["items"]:
        if not item["location"].startswith(_BY_TITLE):
            items.append(item)
        elif item["level"] == 1:
            items.append({**item, "text": ""})
    return json.dumps({**index, "items": items}, ensure_ascii=False, separators=(",", ":")).encode()


def redirects(addresses: str) -> dict[str, str]:
    """Return where old addresses lead.

    Args:
        addresses: lines ``ADDRESS`` of pages that exist and ``OLD -> NEW`` of those that have moved, below ``/docs/``.
    """
    lines = [line for line in addresses.splitlines() if line and not line.startswith("#")]
    return {old: new for old, arrow, new in (line.partition(" -> ") for line in lines) if arrow}


def redirect(old: str, new: str) -> str:
    """Return the page at an old address, which leads to the new one."""
    target = html.escape(f"{'../' * old.strip('/').count('/')}../{new}")
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>This page has moved</title>'
        f'<meta http-equiv="refresh" content="0; url={target}"><h1>This page has moved</h1>'
        f'<p>It is at <a href="{target}">{html.escape(new)}</a>.</p></html>\n'
    )


def pack(site: Path, place: Path, made_from: str) -> int:
    """Write the package's copy of a site: texts compressed, and ``policy.json``; return its size in bytes.

    Args:
        site: the built site.
        place: folder to write; what it held before is gone.
        made_from: hash of the sources of the site.
    """
    shutil.rmtree(place, ignore_errors=True)
    scripts, styles, size = set[str](), set[str](), 0
    for path in sorted(path for path in site.rglob("*") if path.is_file()):
        content, name = path.read_bytes(), path.relative_to(site).as_posix()
        if path.suffix == ".html":
            scripts |= inline_scripts(content.decode())
        if path.suffix == ".js":
            styles |= {hash_of(match[2]) for match in _SEARCH_STYLE.finditer(content.decode())}
        if path.suffix in TEXTS:
            content, name = gzip.compress(content, 9, mtime=0), f"{name}.gz"
        _write(place / name, content)
        size += len(content)
    policy = {"scripts": sorted(scripts), "styles": sorted(styles), "sources": made_from}
    _write(place / digest.POLICY, json.dumps(policy).encode())
    return size


def inline_scripts(page: str) -> set[str]:
    """Return the hashes of a page's inline scripts."""
    return {
        hash_of(match["code"])
        for match in _INLINE_SCRIPT.finditer(page)
        if "src=" not in match["attributes"] and "json" not in match["attributes"]
    }


def hash_of(code: str) -> str:
    """Return the hash of an inline script or style, as a content policy has it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}"


def _write(path: Path, content: bytes) -> None:
    """Write a file unless it has the content already."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2]))
