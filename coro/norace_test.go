//go:build !race

package coro_test

const raced = false
