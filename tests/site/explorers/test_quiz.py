"""The quiz: every answer is explained."""

from explorers import QUESTIONS

from hybridlib.page import widgets


def test_quiz_explains_every_option(shown):
    page = shown(widgets.quiz(QUESTIONS))
    assert page.locator("legend").first.inner_text() == "Is a leak good, if p < 1?"
    page.get_by_role("button", name="Yes").click()
    assert page.locator(".why").first.inner_text() == "Not this one. It copies x1."
    page.get_by_role("button", name="No").press("Enter")
    assert page.locator(".why").first.inner_text() == "Right. It is not a density."
    assert page.get_by_role("button", name="Yes").get_attribute("aria-pressed") == "false"
    page.get_by_role("button", name="D", exact=True).press("Space")
    assert page.locator(".score").inner_text() == "2 of 2 answered, 1 right at the first try."
    assert page.locator("[aria-live=polite]").count() == 2


def test_quiz_hides_which_option_its_author_wrote_first(shown):
    options = [{"text": f"option {i}", "why": "Right: so.", "correct": not i} for i in range(20)]
    page = shown(widgets.quiz([{"question": "Which?", "options": options}]))
    texts = page.locator("button.option span:last-child").all_inner_texts()
    assert sorted(texts) == sorted(option["text"] for option in options)
    assert texts != [option["text"] for option in options]  # alike by chance once in 10^18 times
    page.get_by_role("button", name="option 0", exact=True).click()
    assert page.locator(".why").inner_text() == "Right: so.", "it is not said twice"
