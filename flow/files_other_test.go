//go:build !linux

package flow_test

const hasFiles = false
