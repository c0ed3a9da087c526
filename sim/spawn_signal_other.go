//go:build !unix

package sim

import "syscall"

// defaultAction is what s does to a program that has not asked for it. Systems without signals that stop programs have only those that end
// them.
func defaultAction(syscall.Signal) action { return ends }
