"""From one list of the fleet to a signed configuration bundle and labels for each borne."""
