// Package interop tests Whorl with libraries and programs of others, on every kernel: gRPC, SSH,
// drivers of databases and WebSockets over package netconn, and wrk, h2load and curl against
// net/http. It has nothing but tests.
package interop
