"""The map of the models: parents, children and links."""

from explorers import EDGES, NODES

from hybridlib.page import widgets


def test_map_reads_parents_and_children(shown):
    page = shown(widgets.model_map(NODES, EDGES))
    reading = page.locator(".reading")
    assert "Masks both & <script>." in reading.inner_text()  # simple tags stand, others are text
    assert "from AE the network" in reading.inner_text() and "to MAF Gaussian outputs" in reading.inner_text()
    assert page.get_by_role("link").get_attribute("href") == "made.html"
    page.get_by_role("button", name="MADE", exact=True).focus()
    page.keyboard.press("ArrowDown")
    assert reading.locator(".name").inner_text().startswith("MAF")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert reading.locator(".name").inner_text().startswith(("AE", "AR"))
    assert page.locator("path.down").count() == 1
    page.get_by_role("button", name="to MADE").click()
    assert reading.locator(".name").inner_text().startswith("MADE")


def test_map_links_only_where_the_pages_are(shown):
    page = shown(widgets.model_map(NODES, EDGES), site="")
    assert page.get_by_role("link").count() == 0
    assert "Chapter 5" in page.locator(".reading").inner_text()
