"""Settings of the server: where they come from, and what is refused."""

from pathlib import Path

import pytest

from lodex.config import load_settings
from lodex.errors import InvalidArgumentError


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those of the test."""
    import os

    for name in list(os.environ):
        if name.startswith("LODEX_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of settings."""
    path = tmp_path / "lodex.toml"
    path.write_text('port = 1000\nworkers = 3\n[limits]\nmax_k = 30\nmax_top_k = 31\n[stores]\ndocs = "/srv/docs"\n')
    return path


def test_the_defaults_serve_this_machine_alone() -> None:
    """Nothing has to be set."""
    settings = load_settings()
    assert settings.is_loopback
    assert settings.read_api_key() is None


def test_flags_before_environment_before_file_before_default(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting is taken from the first that has it, tables key by key."""
    monkeypatch.setenv("LODEX_CONFIG", str(file))
    monkeypatch.setenv("LODEX_PORT", "2000")
    monkeypatch.setenv("LODEX_LIMITS__MAX_K", "20")
    monkeypatch.setenv("LODEX_HOST", "::1")
    settings = load_settings({"host": "127.0.0.2", "workers": None})
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.2", 2000, 3)
    assert (settings.limits.max_k, settings.limits.max_top_k, settings.limits.max_page_size) == (20, 31, 1000)
    assert settings.stores == {"docs": Path("/srv/docs")}


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [("prot = 1", "prot", "'port'"), ("[limits]\nmax_kk = 1", "limits.max_kk", "'limits.max_k'")],
)
def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path, text: str, key: str, nearest: str) -> None:
    """A misspelt setting would otherwise be a default in disguise."""
    path = tmp_path / "lodex.toml"
    path.write_text(text)
    with pytest.raises(InvalidArgumentError, match=nearest) as caught:
        load_settings({"config": path})
    assert caught.value.field == key


def test_an_unknown_flag_or_variable_does_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs' variables with our prefix are left alone."""
    with pytest.raises(InvalidArgumentError, match="'workers'"):
        load_settings({"worker": 3})
    monkeypatch.setenv("LODEX_DATA", "/data")
    load_settings()
    monkeypatch.setenv("LODEX_PROT", "7")
    with pytest.raises(InvalidArgumentError, match="LODEX_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        ({"port": "x"}, "port"),
        ({"port": 70_000}, "port"),
        ({"workers": 0}, "workers"),
        ({"limits": {"max_k": -1}}, "limits.max_k"),
        ({"config": "nothing.toml"}, "config"),
        ({"tls_key": "key.pem"}, "tls_key"),
        ({"api_key_file": "nothing", "host": "0.0.0.0"}, "api_key_file"),
    ],
)
def test_a_wrong_value_names_its_key(flags: dict[str, object], key: str) -> None:
    """And what was wrong with it."""
    with pytest.raises(InvalidArgumentError) as caught:
        load_settings(flags)
    assert caught.value.field == key


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    """With the place of the fault."""
    path = tmp_path / "lodex.toml"
    path.write_text("port = \n")
    with pytest.raises(InvalidArgumentError, match="line 1"):
        load_settings({"config": path})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    """Only this machine can reach it."""
    assert load_settings({"host": host}).is_loopback


def test_an_ipv6_address_stands_in_brackets() -> None:
    """Given with or without them."""
    assert load_settings({"host": "::1"}).address(7) == load_settings({"host": "[::1]"}).address(7) == "[::1]:7"
    assert load_settings({"host": "localhost"}).address(7) == "localhost:7"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_beyond_this_machine_a_key_and_tls_are_needed(host: str) -> None:
    """Or the word that the network itself is safe."""
    with pytest.raises(InvalidArgumentError, match="api_key"):
        load_settings({"host": host})
    with pytest.raises(InvalidArgumentError, match="tls_certificate"):
        load_settings({"host": host, "api_key": "secret"})
    assert load_settings({"host": host, "api_key": "secret", "insecure": True}).host == host
    tls = {"tls_certificate": "cert.pem", "tls_key": "key.pem"}
    assert load_settings({"host": host, "api_key": "secret", **tls}).host == host


def test_the_key_may_stand_in_a_file(tmp_path: Path) -> None:
    """So that it is in no list of processes; an empty file is no key."""
    path = tmp_path / "key"
    path.write_text("open sesame\n")
    assert load_settings({"api_key_file": path}).read_api_key() == "open sesame"
    assert load_settings({"api_key_file": path, "api_key": "other"}).read_api_key() == "other"
    path.write_text("\n")
    with pytest.raises(InvalidArgumentError, match="empty"):
        load_settings({"api_key_file": path}).read_api_key()


def test_a_key_is_never_shown() -> None:
    """Neither where settings are printed nor in errors about them."""
    assert "sesame" not in repr(load_settings({"api_key": "open sesame"}))
    with pytest.raises(InvalidArgumentError) as caught:
        load_settings({"api_key": ["open sesame"]})
    assert "sesame" not in str(caught.value)
