"""Commands about a tenant's settings."""

from __future__ import annotations

from quarterdeck_server.engine.commands import UpdateNamespace
from quarterdeck_server.engine.namespaces import NO_SETTINGS, NamespaceSettings
from quarterdeck_server.engine.world import World


def update_namespace(world: World, command: UpdateNamespace) -> NamespaceSettings:
    """Replace the parts that are given. Where the rules of quarantine change, rows of failures begin anew."""
    settings = world.namespaces.get(command.namespace, NO_SETTINGS)
    if command.retention is not None:
        settings = settings._replace(retention=command.retention)
    if command.quarantine is not None and command.quarantine != settings.quarantine:
        settings = settings._replace(quarantine=command.quarantine)
        world.forgotten_streaks.add(command.namespace)
    world.put_namespace(command.namespace, settings)
    return settings
