// Package interop tests Whorl with libraries and programs of others, on every kernel: gRPC, SSH,
// drivers of databases and WebSockets over package netconn, and the load of wrk and h2load on
// net/http. It has nothing but tests.
package interop
