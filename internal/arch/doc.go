// Package arch is the rules of the house as tests: who may import whom, what
// may not be called where and why, how long a file or a function may be, and
// what must have a comment. There is nothing in it to import.
//
// The policy is data, in policy_test.go. It reads source alone, for every
// system at once, so that plain go test is enough on a bare machine. Each rule
// and each ban has planted source that it must find; one that cannot fail does
// not pass.
package arch
