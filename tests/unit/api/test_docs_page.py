"""The documentation page: complete, and without anything from outside."""

import re
from html.parser import HTMLParser

from sengol_api.api.app import OPERATIONS, openapi
from sengol_api.api.docs_page import CONTENT_SECURITY_POLICY, page
from sengol_api.api.errors import STATUS


class Reader(HTMLParser):
    """Collects what a browser would act on."""

    VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.ids, self.handlers, self.open, self.text = [], [], [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in {"href", "src", "action", "data", "poster", "srcset"}:
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read():
    return Reader(page(openapi()))


def test_every_operation_and_every_error_is_on_the_page():
    text = " ".join(read().text)
    for operation in OPERATIONS:
        assert operation.path in text
        assert operation.summary in text
        assert operation.name in read().ids
    assert all(code in text for code in STATUS)


def test_there_is_no_script():
    found = read()
    assert not {"script", "iframe", "object", "embed", "link", "img", "form"} & set(found.tags)
    assert found.handlers == []


def test_every_link_stays_on_this_server_and_leads_somewhere():
    found = read()
    for link in found.links:
        assert link == "/openapi.json" or (link.startswith("#") and link[1:] in found.ids)


def test_the_style_loads_nothing():
    style = re.search(r"<style>(.*?)</style>", page(openapi()), re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_no_script_and_no_address():
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "script-src" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY


def test_tags_are_closed_and_ids_unique():
    found = read()
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))


def test_what_stands_in_the_document_is_text_and_never_markup():
    hostile = "<script>alert(1)</script>"
    document = {**openapi(), "info": {**openapi()["info"], "title": hostile, "description": hostile}}
    assert "<script" not in page(document)
    assert hostile in "".join(Reader(page(document)).text)
