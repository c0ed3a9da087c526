// Package counts has tests that fail when Whorl has become dearer, by counts that do not depend on the machine: allocations and
// calls of the kernel for a message, memory for a connection that waits, the size of a program. The limits stand in the tests, a
// little above what was counted. Somebody who makes a figure worse on purpose changes its limit, and says why in the same commit.
package counts
