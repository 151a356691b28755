"""The wire contract of Lodex, package `lodex.v1`: generated from the .proto files beside this one by `scripts/proto`."""
