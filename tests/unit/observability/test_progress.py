"""The bar for a person who waits."""

from sengol_api.observability.progress import progress_bar


def test_the_bar_tells_what_is_loaded_and_how_far_it_is(capsys):
    with progress_bar() as bar:
        bar.advance(1)  # before the work began there is nothing to advance
        bar.begin("incidents", 7)
        bar.advance(3)
        bar.advance(4)
    shown = capsys.readouterr()
    assert "loading incidents" in shown.err
    assert "7/7" in shown.err
    assert shown.out == ""
