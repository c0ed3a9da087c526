package probe

// Explorer is implemented by a kernel.Kernel that leads programs into rare branches and
// states. A program reaches it by Rare and Sometimes of its reactor, which looks for an
// Explorer with kernel.As. Both are called on the loop's goroutine.
type Explorer interface {
	// Rare tells whether the program takes the rare branch of that name now.
	Rare(name string) bool
	// Sometimes hears whether the program is in the state of that name.
	Sometimes(name string, cond bool)
}
