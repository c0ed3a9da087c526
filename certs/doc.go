// Package certs has certificates for TLS: PEM files and their chains, private keys,
// stores that pick a certificate by the name that a client asks for, trust roots, and
// names. What cannot be used fails when it is loaded, with an error that says which
// file, which block, what is wrong and what to do.
//
// [ServerConfig] and [ClientConfig] put all of it into a tls.Config, which any user of
// crypto/tls can use. A [Watcher] replaces certificates whose files change.
//
// The package has no loop, no timer and no goroutine. Functions that read files may
// block; a program with a reactor calls them before Run, or leaves a watcher to
// tlsio.Reloader.
package certs
