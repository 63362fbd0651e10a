"""Commands about a tenant's settings."""

from __future__ import annotations

from quarterdeck_server.engine.commands import Refusal, UpdateNamespace
from quarterdeck_server.engine.etags import conflict, namespace_etag
from quarterdeck_server.engine.namespaces import NO_SETTINGS, NamespaceSettings
from quarterdeck_server.engine.world import World


def update_namespace(world: World, command: UpdateNamespace) -> NamespaceSettings | Refusal:
    """Replace what is given, unless the settings are others than the caller has seen.

    Where the rules of quarantine change, rows of failures begin anew.
    """
    settings = world.namespaces.get(command.namespace, NO_SETTINGS)
    if command.etag and command.etag != namespace_etag(settings):
        return conflict("namespace", command.namespace)
    kept, rules = settings
    if command.retention is not None:
        given = {part: getattr(command.retention, part) for part in command.retention_parts}
        kept = kept._replace(**given)
    if command.quarantine is not None:
        given = {part: getattr(command.quarantine, part) for part in command.quarantine_parts}
        rules = rules._replace(**given)
    if rules != settings.quarantine:
        world.forgotten_streaks.add(command.namespace)
    settings = NamespaceSettings(kept, rules)
    world.put_namespace(command.namespace, settings)
    return settings
