"""The messages of TensorFlow's files that the importer reads, as classes made at run time.

They live in a descriptor pool and a package of their own, so that nothing clashes with TensorFlow in the same process.
Names and numbers are those of tensorflow/core/framework/*.proto and tensorflow/core/protobuf/*.proto; fields that
inference does not need are left out, and protobuf passes over them.
"""

from __future__ import annotations

import functools
from typing import Any

from edgert.errors import FileFormatError, MissingExtraError

# A line a message: "Name: field number type, ...". A type is a scalar of protobuf or another message; * is repeated,
# {type} a map from strings.
MESSAGES = """
Dim: size 1 int64, name 2 string
TensorShapeProto: dim 2 Dim*, unknown_rank 3 bool
TensorProto: dtype 1 int32, tensor_shape 2 TensorShapeProto, tensor_content 4 bytes, half_val 13 int32*, float_val 5 float*, double_val 6 double*, int_val 7 int32*, string_val 8 bytes*, int64_val 10 int64*, bool_val 11 bool*, uint32_val 16 uint32*, uint64_val 17 uint64*
NameAttrList: name 1 string, attr 2 {AttrValue}
ListValue: s 2 bytes*, i 3 int64*, f 4 float*, b 5 bool*, type 6 int32*, shape 7 TensorShapeProto*, func 9 NameAttrList*
AttrValue: list 1 ListValue, s 2 bytes, i 3 int64, f 4 float, b 5 bool, type 6 int32, shape 7 TensorShapeProto, tensor 8 TensorProto, placeholder 9 string, func 10 NameAttrList
NodeDef: name 1 string, op 2 string, input 3 string*, attr 5 {AttrValue}
ArgDef: name 1 string, type 3 int32, type_attr 4 string, number_attr 5 string, type_list_attr 6 string
OpDef: name 1 string, input_arg 2 ArgDef*, output_arg 3 ArgDef*
FunctionDef: signature 1 OpDef, node_def 3 NodeDef*, ret 4 {string}
FunctionDefLibrary: function 1 FunctionDef*
VersionDef: producer 1 int32
GraphDef: node 1 NodeDef*, library 2 FunctionDefLibrary, versions 4 VersionDef
TensorInfo: name 1 string, dtype 2 int32, tensor_shape 3 TensorShapeProto
SignatureDef: inputs 1 {TensorInfo}, outputs 2 {TensorInfo}, method_name 3 string
MetaInfoDef: tags 4 string*
MetaGraphDef: meta_info_def 1 MetaInfoDef, graph_def 2 GraphDef, signature_def 5 {SignatureDef}
SavedModel: saved_model_schema_version 1 int64, meta_graphs 2 MetaGraphDef*
BundleHeaderProto: num_shards 1 int32, endianness 2 int32
BundleEntryProto: dtype 1 int32, shape 2 TensorShapeProto, shard_id 3 int32, offset 4 int64, size 5 int64, slices 7 bytes*
SerializedTensor: name 1 string, full_name 2 string, checkpoint_key 3 string
TrackableObject: attributes 2 SerializedTensor*
TrackableObjectGraph: nodes 1 TrackableObject*
"""  # noqa: E501

PACKAGE = "edgert.tensorflow"

_SCALARS = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13,
}  # fmt: skip
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3  # of FieldDescriptorProto.Type and Label


def message(name: str) -> Any:
    """The class of one of MESSAGES; MissingExtraError without protobuf."""
    return _classes()[name]


def parse(name: str, data: bytes, file: str) -> Any:
    """The message in `data`; FileFormatError, which names the file, when it is none."""
    made = message(name)()
    try:
        made.ParseFromString(data)
    except Exception as error:  # protobuf's own classes differ between its versions
        text = " ".join(str(error).split())
        raise FileFormatError(f"{file}: not a {name} of TensorFlow, cut short, or damaged ({text})") from error
    return made


@functools.cache
def _classes() -> dict[str, Any]:
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise MissingExtraError("protobuf", "reading a TensorFlow graph") from None
    file = descriptor_pb2.FileDescriptorProto(name="edgert/tensorflow.proto", package=PACKAGE, syntax="proto3")
    names = []
    for line in filter(None, MESSAGES.splitlines()):
        name, _, fields = line.partition(": ")
        names.append(name)
        made = file.message_type.add(name=name)
        for field in fields.split(", "):
            _add_field(made, *field.split(" "))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    descriptors = {name: pool.FindMessageTypeByName(f"{PACKAGE}.{name}") for name in names}
    if hasattr(message_factory, "GetMessageClass"):
        return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in descriptors.items()}
    factory = message_factory.MessageFactory(pool)  # protobuf 3
    return {name: factory.GetPrototype(descriptor) for name, descriptor in descriptors.items()}


def _add_field(owner: Any, name: str, number: str, kind: str) -> None:
    field = owner.field.add(name=name, number=int(number), label=_REPEATED if kind[-1] in "*}" else _OPTIONAL)
    if kind.startswith("{"):
        camel = "".join(part.capitalize() for part in name.split("_"))
        entry = owner.nested_type.add(name=f"{camel}Entry")  # what protobuf calls a map's entries
        entry.options.map_entry = True
        _add_field(entry, "key", "1", "string")
        _add_field(entry, "value", "2", kind[1:-1])
        field.type, field.type_name = _MESSAGE, f".{PACKAGE}.{owner.name}.{entry.name}"
        return
    kind = kind.rstrip("*")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _MESSAGE, f".{PACKAGE}.{kind}"
