//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

// sockList holds the armed socks of a kernel that passes all of them to the system at
// every wait. Removing one moves another.
type sockList struct {
	socks []*sock
	at    []int32 // by descriptor number: index in socks plus 1, or 0
	next  int     // index at which the next collect begins, so that all get their turn
}

// find returns the index of the sock with that descriptor number, or -1.
func (r *sockList) find(fd int32) int {
	if int(fd) >= len(r.at) {
		return -1
	}
	return int(r.at[fd]) - 1
}

// add appends s.
func (r *sockList) add(s *sock) {
	for len(r.at) <= int(s.fd) {
		r.at = append(r.at, 0)
		r.at = r.at[:cap(r.at)]
	}
	r.socks = append(r.socks, s)
	r.at[s.fd] = int32(len(r.socks))
}

// remove takes out entry i and moves the last entry to its place. It returns the index
// that the last entry had.
func (r *sockList) remove(i int) int {
	last := len(r.socks) - 1
	r.at[r.socks[i].fd] = 0
	if i != last {
		r.socks[i] = r.socks[last]
		r.at[r.socks[i].fd] = int32(i + 1)
	}
	r.socks[last] = nil
	r.socks = r.socks[:last]
	return last
}
