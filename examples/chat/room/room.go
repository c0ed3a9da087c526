// Package room is a chat room. The first line that a user sends is a name, which must be
// neither empty nor in use. Every other line goes to all users.
package room

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// Room is the factory and the state that its protocols share. The zero Room is empty. It
// needs no lock, because one goroutine calls everything. users is a slice, not a map, so
// that the order in which users get a line is always the same.
type Room struct{ users []*user }

type user struct {
	receiver.Line
	name string
}

// BuildProtocol makes a user. The user enters the room with its first line, the name.
func (rm *Room) BuildProtocol(kernel.Addr) reactor.Protocol {
	u := new(user)
	u.Delimiter = "\n"
	u.LineReceived = func(line []byte) { rm.line(u, string(line)) }
	u.Lost = func(error) { rm.leave(u) }
	return u
}

func (rm *Room) line(u *user, line string) {
	if u.name == "" {
		rm.enter(u, strings.TrimSpace(line))
		return
	}
	rm.say("%s: %s\n", u.name, line)
}

func (rm *Room) enter(u *user, name string) {
	switch {
	case name == "":
		io.WriteString(u.T, "! a name must not be empty\n")
	case slices.ContainsFunc(rm.users, func(x *user) bool { return x.name == name }):
		fmt.Fprintf(u.T, "! %s is taken\n", name)
	default:
		u.name = name
		rm.users = append(rm.users, u)
		rm.say("* %s joined\n", name)
	}
}

func (rm *Room) leave(u *user) {
	if i := slices.Index(rm.users, u); i >= 0 {
		rm.users = slices.Delete(rm.users, i, i+1)
		rm.say("* %s left\n", u.name)
	}
}

func (rm *Room) say(format string, args ...any) {
	for _, u := range rm.users {
		fmt.Fprintf(u.T, format, args...) // a Transport is an io.Writer that never blocks
	}
}
