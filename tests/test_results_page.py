"""The page of results lists every folder of results, and what it links is there."""

import re
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "examples" / "results"


def test_every_page_is_listed_and_every_link_leads_somewhere():
    text = (RESULTS / "README.md").read_text("utf-8")
    links = set(re.findall(r"\]\(([^)]+)\)", text))
    for link in links:
        assert (RESULTS / link).is_file(), link
    pages = {str(page.relative_to(RESULTS)) for page in RESULTS.glob("*/*.md")}
    assert pages and pages <= links, sorted(pages - links)


def test_pages_show_the_pictures_that_lie_beside_them():
    for page in RESULTS.glob("*/*.md"):
        for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text("utf-8")):
            assert (page.parent / picture).is_file(), f"{page.name}: {picture}"
