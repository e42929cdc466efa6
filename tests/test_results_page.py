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


def test_date_and_commits_of_every_page_are_those_that_stand_on_it():
    rows = [line.split(" | ") for line in (RESULTS / "README.md").read_text("utf-8").splitlines()]
    listed = {row[0]: row for row in rows if row[0].startswith("| [")}
    for row in listed.values():
        page = RESULTS / re.search(r"\]\(([^)]+)\)", row[0])[1]
        (origin,) = [line for line in page.read_text("utf-8").splitlines() if "rllib_safemarl 0." in line]
        day, *commits = row[3].split(", ")
        assert max(re.findall(r"\d{4}-\d\d-\d\d", origin)) == day, page.name
        assert set(re.findall(r"\(([0-9a-f]{7})(?:-dirty)?\)", origin)) == set(commits), page.name
        seeds, episodes = row[2].split(" × ")
        assert f"; {seeds} seed" in origin and f" {episodes} evaluation episodes" in origin, page.name


def test_pages_show_the_pictures_that_lie_beside_them():
    for page in RESULTS.glob("*/*.md"):
        for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text("utf-8")):
            assert (page.parent / picture).is_file(), f"{page.name}: {picture}"
