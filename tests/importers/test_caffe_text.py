"""The reader of Caffe's text files, against protobuf's own, and what it says of files that are none."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from edgert.importers.caffe.schema import _specs, new_network
from edgert.importers.caffe.text import TextError, parse

SCALARS = {"float": 2, "int64": 3, "int32": 5, "bool": 8, "string": 9, "uint32": 13}
FORMS = """
# every way to write a value
name: "a\\n\\x41\\101" 'b"' # two texts in a row
input: 'one', input: "two";
input_dim: 1 input_dim: 0x10 input_dim: -3 input_dim: [4, 5]
force_backward: true unknown: [1, {a: 2}, 3] other < deep { deeper: "}" } >
[extension.name]: 5
layer < name: "l" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 7; kernel_size: [3, 5] bias_term: false engine: CAFFE }
  lrn_param: { alpha: 1e-4 beta: .5f k: -inf }
  eltwise_param { operation: MAX coeff: 1. coeff: -2 }
  dropout_param { dropout_ratio: nan }
>
layers { type: CONVOLUTION name: "old" include { phase: TEST min_level: 1 stage: "a" } param: "w" }
"""


def protobuf_class():
    """NetParameter as protobuf has it, of the same fields."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_text.proto", package="text", syntax="proto2")
    for message, fields in _specs().items():
        made = file.message_type.add(name=message)
        for number, (name, field) in enumerate(fields.items(), start=1):
            entry = made.field.add(name=name, number=number, label=3 if field.repeated else 1)
            if field.values:
                enum = made.enum_type.add(name=f"{name}_values")
                for label, value in field.values.items():
                    enum.value.add(name=label, number=value)
                entry.type, entry.type_name = 14, f".text.{message}.{enum.name}"
            elif field.kind in SCALARS:
                entry.type = SCALARS[field.kind]
            else:
                entry.type, entry.type_name = 11, f".text.{field.kind}"
            if not field.repeated and field.kind not in _specs():
                label = next((label for label, value in field.values.items() if value == field.default), None)
                entry.default_value = label or str(field.default).lower() if field.kind != "string" else field.default
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("text.NetParameter"))


def assert_same(ours, theirs):
    """Every field, stated or not."""
    for field in theirs.DESCRIPTOR.fields:
        here, there = getattr(ours, field.name), getattr(theirs, field.name)
        repeated = isinstance(here, list | tuple)
        if not repeated:
            assert ours.has(field.name) == theirs.HasField(field.name), field.name
        if field.message_type is None:
            assert (list(here) if repeated else here) == pytest.approx(list(there) if repeated else there), field.name
        elif repeated:
            assert len(here) == len(there)
            for one, other in zip(here, there, strict=True):
                assert_same(one, other)
        elif theirs.HasField(field.name):
            assert_same(here, there)


def both(text):
    ours, theirs = new_network(), protobuf_class()()
    parse(text, ours)
    text_format.Parse(text, theirs, allow_unknown_field=True)
    return ours, theirs


def test_forms_of_values():
    # protobuf takes no extension of a name that it does not know, and no list with messages among unknown fields
    text = FORMS.replace("[extension.name]: 5\n", "").replace("[1, {a: 2}, 3]", "[1, 2, 3]")
    ours, theirs = both(text)
    assert_same(ours, theirs)
    again = new_network()
    parse(FORMS, again)
    assert again.name == ours.name == 'a\nAAb"'
    assert again.layer[0].convolution_param.kernel_size == [3, 5]


@pytest.mark.parametrize("name", ["caffe/lenet", "mtcnn/det1", "mtcnn/det2", "ultraface_rfb320/rfb320"])
def test_descriptions_of_networks(name, shared_data):
    assert_same(*both(shared_data(f"{name}.prototxt").read_text()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('layer {\n name: "a"\n', "line 3: it ends where } should be"),
        ("layer {\n >", "line 2: '>' where a field should be"),
        ('name: "a\n"', "line 1: a text that does not end"),
        ("name: 5", "line 1: name: '5', needed string"),
        ('input_dim: "5"', "input_dim: '5', needed int32"),
        ("\n\ninput_dim: 1.5", "line 3: input_dim: invalid literal"),
        ("input_dim: 3000000000", "input_dim: 3000000000 is no int32"),
        ('name: "a" name: "b"', "line 1: name: name stands there twice"),
        ("layer { pooling_param { pool: MIN } }", "pool: 'MIN', needed one of MAX, AVE, STOCHASTIC"),
        ("layer { pooling_param { global_pooling: maybe } }", "needed true or false"),
        ("layer: 5", "layer"),
        ("layer", "layer has no value"),
        ("name { a: 1 }", "name"),
        ("layer [ { } ]", "a list of messages"),
        ("x: [1, 2", "it ends where ] should be"),
        ("a {" * 40, "messages inside one another"),
    ],
)
def test_what_is_no_description(text, message):
    with pytest.raises(TextError) as caught:
        parse(text, new_network())
    assert message in str(caught.value)
