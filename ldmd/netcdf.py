"""Results as NetCDF: one frozen dataclass, one file that any NetCDF reader understands.

Fields declared with ``ldmd.results.quantity`` become variables with named dimensions, ``units`` and
``description``. Every other field becomes a global attribute that holds JSON; NaN is allowed there, and
floats come back exactly. The fields of a dataclass inside a dataclass carry its name in front:
``cepstral.coefficients`` over ``cepstral.coefficient``. Equal results give equal bytes: no time stamp.

Behind the HDF5 data, where its readers do not look, stands the SHA-256 of all that comes before. It is
checked first, because a damaged file can keep the HDF5 library busy for ever.

Written with h5netcdf rather than with xarray: the HDF5 root group would be stamped with the time otherwise,
and reading back a result should not cost a second of imports.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ldmd.seal import sealed, unsealed

if TYPE_CHECKING:
    import h5netcdf

Result = TypeVar("Result")

KIND, PROVENANCE = "ldmd_result", "ldmd_provenance"


class UnreadableFile(Exception):
    """The file is truncated, damaged, or holds something else than was asked for."""


@dataclasses.dataclass(frozen=True)
class _Variable:
    dims: tuple[str, ...]
    values: np.ndarray
    unit: str
    description: str


def to_bytes(result: object, provenance: dict[str, Any]) -> bytes:
    """The NetCDF file of a result; ``provenance`` (JSON) says where it comes from.

    Raises
    ------
    TypeError
        For a field that has no place in a file, such as an array without declared dimensions.
    """
    variables: dict[str, _Variable] = {}
    fields = _encode(result, "", variables)
    attributes = {
        KIND: type(result).__name__,
        PROVENANCE: json.dumps(provenance, sort_keys=True, allow_nan=False),
        **{name: json.dumps(value) for name, value in fields.items() if name not in variables},
    }
    return sealed(_image(attributes, variables))


def from_bytes(kind: type[Result], data: bytes) -> tuple[Result, dict[str, Any]]:
    """The result of class ``kind`` in a file, and its provenance.

    Raises
    ------
    UnreadableFile
        Where the file is damaged, or was not written from this class as it is now.
    """
    image = unsealed(data)
    if image is None:
        raise UnreadableFile("is truncated or damaged")
    attributes, arrays = _contents(image)
    if attributes.get(KIND) != kind.__name__:
        raise UnreadableFile(f"holds {attributes.get(KIND, 'something else')}, not {kind.__name__}")
    fields = {name: json.loads(text) for name, text in attributes.items() if name not in (KIND, PROVENANCE)}
    fields |= {name: name for name in arrays if "." not in name}
    try:
        return typing.cast(Result, _decode(kind, fields, arrays)), json.loads(attributes[PROVENANCE])
    except (TypeError, KeyError, ValueError) as error:
        raise UnreadableFile(f"was written by another version ({error})") from error


def _encode(value: object, path: str, variables: dict[str, _Variable]) -> Any:
    """A value as JSON types; arrays go to ``variables`` and leave their name behind."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return [_encode(item, f"{path}{index}.", variables) for index, item in enumerate(value)]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{path.rstrip('.')}: a {type(value).__name__} cannot be saved")
    encoded = {}
    for field in dataclasses.fields(value):
        item, name = getattr(value, field.name), f"{path}{field.name}"
        if isinstance(item, np.ndarray) or "dims" in field.metadata:
            variables[name] = _variable(np.asarray(item), field, path)
            encoded[field.name] = name
        else:
            encoded[field.name] = _encode(item, f"{name}.", variables)
    return encoded


def _variable(array: np.ndarray, field: dataclasses.Field[Any], path: str) -> _Variable:
    name = f"{path}{field.name}"
    if "dims" not in field.metadata or array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: an array of real numbers, declared with quantity(), is needed")
    dims = tuple(f"{path}{dim}" for dim in field.metadata["dims"])
    if len(dims) != array.ndim:
        raise TypeError(f"{name}: {array.ndim} axes, but declared over {dims}")
    return _Variable(dims, array, field.metadata["unit"], field.metadata["description"])


def _image(attributes: dict[str, str], variables: dict[str, _Variable]) -> bytes:
    """The file, built in memory: what reaches the disk is then one plain write that can be made atomic."""
    import h5netcdf
    import h5py

    creation, access = h5py.h5p.create(h5py.h5p.FILE_CREATE), h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    order = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED  # the NetCDF library insists on both
    creation.set_link_creation_order(order)
    creation.set_attr_creation_order(order)
    creation.set_obj_track_times(False)
    access.set_fapl_core(backing_store=False)
    identifier = h5py.h5f.create(b"result.nc", h5py.h5f.ACC_TRUNC, fcpl=creation, fapl=access)
    with h5py.File(identifier) as raw:
        with h5netcdf.File(raw, "w") as file:
            _write(file, attributes, variables)
        raw.flush()
        image: bytes = identifier.get_file_image()
    return image


def _write(file: h5netcdf.File, attributes: dict[str, str], variables: dict[str, _Variable]) -> None:
    sizes: dict[str, int] = {}
    for name, variable in variables.items():
        for dim, size in zip(variable.dims, variable.values.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise TypeError(f"{name}: {size} along {dim}, which is {sizes[dim]} long elsewhere")
    file.dimensions = sizes
    for name, variable in variables.items():
        boolean = variable.values.dtype.kind == "b"  # NetCDF knows no booleans; xarray reads this convention
        written = file.create_variable(
            name, variable.dims, data=variable.values.astype(np.int8) if boolean else variable.values
        )
        written.attrs.update({"units": variable.unit, "description": variable.description})
        if boolean:
            written.attrs["dtype"] = "bool"
    file.attrs.update(attributes)


def _contents(image: bytes) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Global attributes and arrays of an HDF5 image."""
    import h5netcdf
    import h5py

    with h5py.File(h5py.h5f.open_file_image(image)) as raw, h5netcdf.File(raw, "r") as file:
        return dict(file.attrs), {name: _values(variable) for name, variable in file.variables.items()}


def _values(variable: h5netcdf.Variable) -> np.ndarray:
    values = np.asarray(variable[...])
    return values.astype(bool) if variable.attrs.get("dtype") == "bool" else values


def _decode(hint: Any, data: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The inverse of ``_encode``, led by the annotations of the class."""
    if isinstance(data, str) and (hint is np.ndarray or typing.get_origin(hint) is np.ndarray):
        return arrays[data]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(hint) if member is not types.NoneType]
        return None if data is None else _decode(members[0], data, arrays) if len(members) == 1 else data
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        hints = [inner[0]] * len(data) if inner[-1] is Ellipsis else inner
        return tuple(_decode(each, item, arrays) for each, item in zip(hints, data, strict=True))
    if dataclasses.is_dataclass(hint):
        hints_of = typing.get_type_hints(hint)
        names = {field.name for field in dataclasses.fields(hint)}
        if names != set(data):
            raise TypeError(f"fields {', '.join(sorted(names ^ set(data)))}")
        return typing.cast(Any, hint)(**{name: _decode(hints_of[name], data[name], arrays) for name in names})
    if hint in (float, int, bool) and isinstance(data, str):  # a number declared with quantity()
        return hint(arrays[data])
    return float(data) if hint is float else data
