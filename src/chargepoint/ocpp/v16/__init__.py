"""OCPP 1.6J: translation between its messages and the version-neutral core. Decides nothing."""
