"""The rules of the wire contract, checked on its descriptors: those of buf (STANDARD, COMMENTS) and our own."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from google.longrunning import operations_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

Files = list[FileDescriptorProto]
SERVICES = ["Admin", "Datastore", "Embedding", "LanguageModel", "Ngram", "Rerank", "Retrieval"]
QUERY_SERVICES = ["Embedding", "LanguageModel", "Ngram", "Rerank", "Retrieval"]
OPERATION = ".google.longrunning.Operation"
STATUS = ".google.rpc.Status"
# Fields that end in "id" or "ids" and hold tokens of a vocabulary, which are numbers.
TOKEN_FIELDS = {"TokenIds.ids", "SparseVector.ids", "TokenDetails.eos_id"}


def messages(contract: Files) -> dict[str, DescriptorProto]:
    return {message.name: message for file in contract for message in file.message_type}


def enums(contract: Files) -> list[EnumDescriptorProto]:
    return [enum for file in contract for enum in file.enum_type]


def methods(contract: Files) -> list[tuple[ServiceDescriptorProto, MethodDescriptorProto]]:
    return [(service, method) for file in contract for service in file.service for method in service.method]


def queries(contract: Files) -> list[MethodDescriptorProto]:
    return [method for service, method in methods(contract) if service.name.removesuffix("Service") in QUERY_SERVICES]


def fields(contract: Files) -> Iterator[tuple[str, FieldDescriptorProto]]:
    for message in messages(contract).values():
        for field in message.field:
            yield f"{message.name}.{field.name}", field


def field_of(message: DescriptorProto, name: str) -> FieldDescriptorProto:
    found = [field for field in message.field if field.name == name]
    assert found, f"{message.name} has no field {name!r}"
    return found[0]


def short(type_name: str) -> str:
    return type_name.removeprefix(".lodex.v1.")


def test_each_service_has_a_file_named_after_it(contract: Files) -> None:
    """Seven services, one file each, in the folder of the package."""
    assert sorted(service.name for file in contract for service in file.service) == [
        f"{name}Service" for name in SERVICES
    ]
    for file in contract:
        assert file.package == "lodex.v1"
        for service in file.service:
            words = re.findall("[A-Z][a-z]+", service.name.removesuffix("Service"))
            assert file.name == f"lodex/v1/{'_'.join(words).lower()}.proto"


def test_enums_begin_unspecified_and_carry_their_prefix(contract: Files) -> None:
    """The zero value means "not said", so that an absent field never means something else."""
    for enum in enums(contract):
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
        assert enum.value[0].number == 0
        assert enum.value[0].name == prefix + "UNSPECIFIED"
        assert all(value.name.startswith(prefix) for value in enum.value), enum.name


def test_names_have_their_case(contract: Files) -> None:
    """Fields in lower snake case, messages and methods in Pascal case."""
    for name, field in fields(contract):
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field.name), name
    for name in [*messages(contract), *(method.name for _, method in methods(contract))]:
        assert re.fullmatch(r"([A-Z][a-z0-9]+)+", name), name


def test_requests_and_responses_are_named_after_their_rpc_alone(contract: Files) -> None:
    """Each RPC has its own pair of messages, so that either may grow."""
    used: Counter[str] = Counter()
    for _, method in methods(contract):
        assert short(method.input_type) == f"{method.name}Request"
        used[method.input_type] += 1
        if method.output_type != OPERATION:
            assert short(method.output_type) == f"{method.name}Response"
            used[method.output_type] += 1
    assert max(used.values()) == 1


def test_operations_name_their_response_and_their_metadata(contract: Files) -> None:
    """Long-running work says which messages its operation will hold."""
    jobs = [method for _, method in methods(contract) if method.output_type == OPERATION]
    assert jobs
    for method in jobs:
        info = method.options.Extensions[operations_pb2.operation_info]
        assert info.response_type == f"{method.name}Response"
        assert {info.response_type, info.metadata_type} <= set(messages(contract))


def test_everything_is_commented(contract: Files) -> None:
    """Every service, method, message, field, oneof, enum and value says what it is."""
    missing = []
    for file in contract:
        commented = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments.strip()}
        wanted: dict[tuple[int, ...], str] = {}
        for i, message in enumerate(file.message_type):
            wanted[4, i] = message.name
            wanted |= {(4, i, 2, j): f"{message.name}.{field.name}" for j, field in enumerate(message.field)}
            synthetic = {field.oneof_index for field in message.field if field.proto3_optional}
            for j, oneof in enumerate(message.oneof_decl):
                if j not in synthetic:
                    wanted[4, i, 8, j] = f"{message.name}.{oneof.name}"
        for i, enum in enumerate(file.enum_type):
            wanted[5, i] = enum.name
            wanted |= {(5, i, 2, j): value.name for j, value in enumerate(enum.value)}
        for i, service in enumerate(file.service):
            wanted[6, i] = service.name
            wanted |= {(6, i, 2, j): f"{service.name}.{rpc.name}" for j, rpc in enumerate(service.method)}
        missing += [name for path, name in wanted.items() if path not in commented]
    assert not missing


def test_optional_fields_say_their_default(contract: Files) -> None:
    """A field is optional because its absence means something: its comment says what."""
    silent = []
    for file in contract:
        comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        for i, message in enumerate(file.message_type):
            for j, field in enumerate(message.field):
                words = comments[4, i, 2, j].lower()
                if field.proto3_optional and not ("default" in words or "absent" in words):
                    silent.append(f"{message.name}.{field.name}")
    assert not silent


@pytest.mark.parametrize("kind", ["unary", "streamed"])
def test_every_query_takes_a_batch_and_answers_by_item(contract: Files, kind: str) -> None:
    """One bad query of a batch fails alone: each result, or each event of a stream, has an error of its own."""
    known = messages(contract)
    for method in queries(contract):
        request, response = known[short(method.input_type)], known[short(method.output_type)]
        if method.server_streaming != (kind == "streamed"):
            continue
        if method.server_streaming:
            named = {field.name: field for field in response.field}
            assert named.keys() & {"item", "batch_id"}, response.name
            inner = [known[short(f.type_name)] for f in response.field if f.type_name.startswith(".lodex.v1.")]
            assert any(f.type_name == STATUS for message in [response, *inner] for f in message.field), response.name
        else:
            assert any(field.label == FieldDescriptorProto.LABEL_REPEATED for field in request.field), request.name
            results = field_of(response, "results")
            assert results.number == 1
            assert results.label == FieldDescriptorProto.LABEL_REPEATED
            error = field_of(known[short(results.type_name)], "error")
            assert (error.number, error.type_name) == (1, STATUS)


def test_every_query_says_what_it_reads_and_every_answer_what_was_read(contract: Files) -> None:
    """Requests name store and version, replies echo them; models are named and echoed likewise."""
    known = messages(contract)
    for method in queries(contract):
        request, response = known[short(method.input_type)], known[short(method.output_type)]
        if method.client_streaming or method.name == "RerankStream":
            continue
        names = {field.name for field in request.field}
        assert names & {"target", "index", "model"}, request.name
        assert field_of(response, "info").type_name == ".lodex.v1.ReplyInfo", response.name
    for name in ("IndexRef", "StoreRef"):
        assert field_of(known[name], "store").type == FieldDescriptorProto.TYPE_STRING
        assert field_of(known[name], "version").proto3_optional


def test_every_list_is_paged(contract: Files) -> None:
    """Listings have a page size and a token, and answer the items first and then the next token (AIP-158)."""
    known = messages(contract)
    lists = [method for _, method in methods(contract) if method.name.startswith("List")]
    assert len(lists) >= 4
    for method in lists:
        request, response = known[short(method.input_type)], known[short(method.output_type)]
        assert field_of(request, "page_size").type == FieldDescriptorProto.TYPE_INT32
        assert field_of(request, "page_token").type == FieldDescriptorProto.TYPE_STRING
        first = min(response.field, key=lambda field: field.number)
        assert first.label == FieldDescriptorProto.LABEL_REPEATED
        assert field_of(response, "next_page_token").type == FieldDescriptorProto.TYPE_STRING


def test_ids_are_strings(contract: Files) -> None:
    """Public ids are strings; only tokens of a vocabulary are numbers, or a tensor of them."""
    for name, field in fields(contract):
        if re.search(r"(^|_)ids?$", field.name) and not field.name.startswith("token_") and name not in TOKEN_FIELDS:
            assert field.type == FieldDescriptorProto.TYPE_STRING, name


def test_numbers_of_fields_leave_no_gaps(contract: Files) -> None:
    """The first release numbers its fields from 1 without gaps; what goes later is reserved, never reused."""
    for message in messages(contract).values():
        numbers = {field.number for field in message.field}
        reserved = {number for span in message.reserved_range for number in range(span.start, span.end)}
        assert numbers | reserved == set(range(1, len(numbers | reserved) + 1)), message.name
