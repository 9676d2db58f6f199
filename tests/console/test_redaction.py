"""What support gets to see of a configuration file."""

import pytest

from chargepoint.console.settings import redacted


@pytest.mark.parametrize(
    "text",
    [
        '[ocpp.configuration]\nAuthorizationKey = "topsecret"',
        '[ocpp]\nconfiguration = { HeartbeatInterval = 60, AuthorizationKey = "topsecret" }',
        'ocpp = { configuration = { "AuthorizationKey" = "topsecret" } }',
        '[ocpp.configuration]\nAuthorizationKey = """\ntopsecret"""',
        '[ocpp.configuration]\n# AuthorizationKey = "topsecret"',
        '[ocpp]\nurl = "wss://user:topsecret@central.system/ocpp"',
    ],
)
def test_a_secret_is_left_out_however_it_is_written(text: str) -> None:
    assert "topsecret" not in redacted(text + "\n")
    assert "***" in redacted(text + "\n")


def test_the_names_of_files_with_secrets_and_everything_else_are_kept() -> None:
    text = '[ocpp]\nurl = "wss://central.system/a@b"\npassword_file = "/etc/p"\n[board.pins]\ncontactor_1 = "GPIO5"\n'
    assert redacted(text) == text


def test_what_is_no_toml_is_left_out_whole() -> None:
    assert "topsecret" not in redacted('AuthorizationKey = "topsecret\n')
