// Chat is a room: the first line a user sends is a name, every other goes to
// everybody. Try it with `nc localhost 8008`.
package main

import (
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// room is the factory and the shared state. No lock: one goroutine. A slice, not
// a map: the order of users is part of what the program does.
type room struct{ users []*user }

type user struct {
	receiver.Line
	name string
}

func (rm *room) BuildProtocol(kernel.Addr) reactor.Protocol {
	u := new(user)
	u.Delimiter = "\n"
	u.LineReceived = func(line []byte) { rm.line(u, string(line)) }
	u.Lost = func(error) { rm.leave(u) }
	return u
}

func (rm *room) line(u *user, line string) {
	switch {
	case u.name != "":
		rm.say("%s: %s\n", u.name, line)
	case slices.ContainsFunc(rm.users, func(x *user) bool { return x.name == line }):
		fmt.Fprintf(u.T, "! %s is taken\n", line)
	default:
		u.name = line
		rm.users = append(rm.users, u)
		rm.say("* %s joined\n", line)
	}
}

func (rm *room) leave(u *user) {
	if i := slices.Index(rm.users, u); i >= 0 {
		rm.users = slices.Delete(rm.users, i, i+1)
		rm.say("* %s left\n", u.name)
	}
}

func (rm *room) say(format string, args ...any) {
	for _, u := range rm.users {
		fmt.Fprintf(u.T, format, args...) // a Transport is an io.Writer that never blocks
	}
}

func main() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{Signals: reactor.StopSignals()})
	place, err := endpoint.Std().Server("tcp:8008")
	if err == nil {
		_, err = place.Listen(r, new(room))
	}
	if err == nil {
		err = r.Run(context.Background())
	}
	if err != nil {
		log.Fatal(err)
	}
}
