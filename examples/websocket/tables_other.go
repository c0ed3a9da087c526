//go:build !linux

package main

import "errors"

func ownTable() error { return errors.New("-tables is for Linux") }
