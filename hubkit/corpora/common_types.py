"""The type that two files agree on for a column, if there is one."""

import pyarrow as pa

from hubkit.corpora.hashing import type_name


class Conflict(Exception):
    """Two types have none in common."""


def common_schema(schema: pa.Schema, other: pa.Schema, is_json: bool = False) -> pa.Schema:
    """Return the schema of the rows of both.

    Args:
        schema: What it begins with, and keeps the order and the metadata of.
        other: What is added.
        is_json: As for :func:`common_type`; columns may then be missing too, which are null there.

    Raises:
        Conflict: A column has two types, or is in one alone; says which.
    """
    alone = set(schema.names) ^ set(other.names)
    if alone and not is_json:
        raise Conflict(f"the columns differ ({', '.join(sorted(alone))} in one alone)")
    fields = {field.name: field for field in schema}
    for field in other:
        mine = fields.get(field.name, field)
        try:
            fields[field.name] = mine.with_type(common_type(mine.type, field.type, is_json))
        except Conflict:
            before, now = type_name(mine.type), type_name(field.type)
            raise Conflict(f"column {field.name!r} is {now}, and {before} before") from None
    return pa.schema(list(fields.values()), schema.metadata)


def common_type(a: pa.DataType, b: pa.DataType, is_json: bool = False) -> pa.DataType:
    """Return the narrower of the types that hold the values of both; what holds nothing but nulls has any type.

    Args:
        a: A type; of types that differ in how they are stored alone it is this one.
        b: Another.
        is_json: Whether Arrow guessed them from text: then an integer may be a float, what looks like a date may be
            text, and an object may lack fields.

    Raises:
        Conflict: There is none.
    """
    if pa.types.is_null(a):
        return b
    if pa.types.is_null(b) or type_name(a) == type_name(b):
        return a
    if _is_list(a) and _is_list(b):
        return pa.list_(common_type(a.value_type, b.value_type, is_json))
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        return pa.struct(list(common_schema(pa.schema(list(a)), pa.schema(list(b)), is_json)))
    kinds = {type_name(a), type_name(b)}
    if is_json and kinds == {"int64", "double"}:
        return pa.float64()
    if is_json and "string" in kinds and (pa.types.is_timestamp(a) or pa.types.is_timestamp(b)):
        return pa.string()
    raise Conflict


def _is_list(type: pa.DataType) -> bool:
    return type_name(type).startswith("list<")
