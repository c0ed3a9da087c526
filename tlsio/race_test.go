//go:build race

package tlsio_test

const raced = true
