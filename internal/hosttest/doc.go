// Package hosttest has hosts for tests: network namespaces, which the tests make themselves.
package hosttest
