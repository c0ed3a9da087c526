// Package arch checks the rules of the house. It has only tests: which package may import
// which, what code may not call and why, how long a file or a function may be, and what
// must have a comment.
//
// The policy is data, in policy_test.go. The tests read source only, for every system at
// once. So plain go test is enough on a machine without further tools. For each rule and
// each ban there is planted source that it must find; a rule that finds nothing in its
// plants fails.
package arch
