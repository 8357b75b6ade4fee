"""The one error the package raises on purpose."""


class ConfigurationError(ValueError):
    """A setting or policy cannot be used.

    The message names the variable (or the policy's key), the value and what is allowed. When it is
    raised the gate is closed already, so that catching it never means capture.
    """
