"""From a filter in people's words to one in the codes that incidents carry."""

import pytest

from sengol_api.adapters.catalogue_files import load_vocabulary
from sengol_api.api.routes.incidents import to_filter
from sengol_api.api.wire import FilterIn


@pytest.mark.parametrize(
    ("said", "code"), [("de", "DE"), ("Germany", "DE"), ("UK", "GB"), ("United Kingdom", "GB"), ("gb", "GB"), ("ua", "UA")]
)
def test_a_country_may_be_named_as_people_name_it(said, code):
    assert to_filter(FilterIn(countries=[said]), load_vocabulary()).countries == {code}
