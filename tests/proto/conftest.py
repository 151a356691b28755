"""The contract as descriptors with their comments, compiled from the .proto files."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.rpc import status_pb2

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(status_pb2.__file__).parents[2]


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> list[descriptor_pb2.FileDescriptorProto]:
    """The files of lodex.v1, imports left out."""
    pytest.importorskip("grpc_tools", reason="the contract is compiled by grpcio-tools, of the extra [dev]")
    image = tmp_path_factory.mktemp("proto") / "image.binpb"
    operations = SITE / "google" / "longrunning" / "operations_proto.proto"
    includes = ["-Iproto", f"-I{SITE}", f"-Igoogle/longrunning/operations.proto={operations}"]
    files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("proto/lodex/v1/*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes, "--include_source_info", "-o", str(image), *files]
    subprocess.run(command, check=True, cwd=ROOT)
    return list(descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file)
