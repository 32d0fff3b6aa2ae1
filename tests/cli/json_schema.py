"""As much of JSON Schema as docs/results.schema.json uses: a checker that names the path of a mistake."""

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}

_KNOWN = {"$schema", "$defs", "title", "type", "const", "enum", "anyOf", "$ref", "required", "properties",
          "additionalProperties", "items", "minItems", "minimum", "maximum", "exclusiveMinimum"}


def _is(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, _TYPES[name])


def errors(value, schema, root=None, path="$"):
    """What is wrong with `value`: a list of lines, empty where nothing is."""
    root = root or schema
    unknown = set(schema) - _KNOWN
    if unknown:
        return [f"{path}: the schema says {unknown}, which this checker does not know"]
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return errors(value, target, root, path)
    if "anyOf" in schema:
        tries = [errors(value, choice, root, path) for choice in schema["anyOf"]]
        return [] if [] in tries else tries[0]
    if "const" in schema and value != schema["const"]:
        return [f"{path}: {value!r} is not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path}: {value!r} is not one of {schema['enum']}"]
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(_is(value, name) for name in names):
        return [f"{path}: {value!r} is no {' or '.join(names)}"]
    found = []
    if isinstance(value, dict):
        found += [f"{path}: {name} is missing" for name in schema.get("required", []) if name not in value]
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name, member in value.items():
            if name in properties:
                found += errors(member, properties[name], root, f"{path}.{name}")
            elif others is False:
                found.append(f"{path}: {name} is not in the schema")
            elif isinstance(others, dict):
                found += errors(member, others, root, f"{path}.{name}")
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            found.append(f"{path}: {len(value)} elements, at least {schema['minItems']} wanted")
        for index, element in enumerate(value):
            found += errors(element, schema.get("items", {}), root, f"{path}[{index}]")
    elif _is(value, "number"):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            found.append(f"{path}: {value} is out of bounds")
        if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
            found.append(f"{path}: {value} is not above {schema['exclusiveMinimum']}")
    return found
