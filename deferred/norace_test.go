//go:build !race

package deferred_test

const raced = false
