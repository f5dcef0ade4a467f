"""The build of an image installs from where this machine's pip does, as far as that can be reached from within."""

from hypothesis import given, strategies as st

from script.environments.pip_configuration import KEPT, MOUNTED, image_options


def test_a_companys_index_and_its_certificate_hold_in_the_image_too() -> None:
    options = {"index-url": "https://pip.example/simple", "cert": "/etc/ssl/company.pem", "timeout": "60"}
    assert image_options(options) == {"index-url": "https://pip.example/simple", "cert": MOUNTED, "timeout": "60"}


def test_folders_of_this_machine_are_not_in_the_image() -> None:
    options = {"find-links": "/opt/wheels", "extra-index-url": "file:///opt/simple https://pip.example/more"}
    assert image_options(options) == {"extra-index-url": "https://pip.example/more"}


def test_what_does_not_concern_where_packages_come_from_is_left_out() -> None:
    assert image_options({"user": "true", "require-virtualenv": "1", "no-index": "1"}) == {}


@given(st.dictionaries(st.sampled_from([*KEPT, "cert", "user"]), st.text(max_size=40)))
def test_no_path_of_this_machine_gets_in(options: dict[str, str]) -> None:
    addresses = [value for key, value in image_options(options).items() if key.endswith(("url", "links"))]
    assert all(part.startswith(("http://", "https://")) for value in addresses for part in value.split())
