"""The settings of a site: composed of the settings of each room, loaded, checked, reloaded and displayed."""
