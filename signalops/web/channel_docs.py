"""The configuration of each kind of channel in the API documentation: a union with the discriminator `kind`."""

from signalops.send.channels import CHANNELS
from signalops.web.components import Components


def describe_kinds(components: Components) -> None:
    """Replace the schema NewChannel by a union of one schema per kind, each with the configuration of that kind."""
    base = components.schemas.get("NewChannel")
    if base is None:
        return
    names = {kind: f"New{model.__name__}Channel" for kind, model in CHANNELS.items()}
    for kind, model in CHANNELS.items():
        config = f"{model.__name__}Config"
        components.schemas[config] = components.inline(model, "validation") | {"title": config}
        properties = base["properties"] | {
            "kind": {"const": kind, "type": "string"},
            "config": {"$ref": f"#/components/schemas/{config}"},
        }
        description = components.schemas[config].get("description", "")
        components.schemas[names[kind]] = base | {"title": names[kind], "description": description, "properties": properties}
    refs = {kind: f"#/components/schemas/{name}" for kind, name in names.items()}
    components.schemas["NewChannel"] = {
        "title": "NewChannel",
        "description": base["description"],
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "kind", "mapping": refs},
    }
