"""The environment, read in one place. Nothing else of the package looks at it."""

from sengol_api.settings.loading import SettingsError, load, read_environment
from sengol_api.settings.model import Settings
from sengol_api.settings.variables import Variable, suspects, variables

__all__ = ["Settings", "SettingsError", "Variable", "load", "read_environment", "suspects", "variables"]
