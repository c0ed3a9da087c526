package leasing

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// passes lets d pass on r.
func passes(t *testing.T, r *reactor.Reactor, d time.Duration) {
	t.Helper()
	at := r.Now() + d
	defer r.CallLater(d, func() {}).Cancel()
	testworld.Until(t, func() bool { return r.Now() >= at }, r)
}

// Whoever asks for one name after another, and gives none back, does not fill the memory of a server: it forgets a lease that is over, and has
// a limit of those that are not. The client whose lease is there keeps it meanwhile.
func TestManyNames(t *testing.T) {
	r := testworld.Simulation().Alone().New(t, reactor.Config{})
	s := &Server{ID: "s"}
	if err := s.Start(r); err != nil {
		t.Fatal(err)
	}
	passes(t, r, Term)
	q := &requests{s}
	asks := func(kind, client, name string, number uint64) {
		m := Message{Kind: kind, Server: "s", Client: client, Number: number, Name: name}
		q.DatagramReceived([]byte(m.String()), kernel.Addr{})
	}
	asks(Ask, "ann", "printer", 1)
	for i := range uint64(4 * maxGrants) {
		asks(Ask, "eve", fmt.Sprint("name", i), i+1)
	}
	if n := len(s.grants); n > maxGrants {
		t.Errorf("%d leases are remembered", n)
	}
	if asks(Renew, "ann", "printer", 2); s.Holder("printer") != "ann" {
		t.Errorf("%q has the name of ann", s.Holder("printer"))
	}
	passes(t, r, Term+2*Beat)
	if n := len(s.grants); n > 0 {
		t.Errorf("%d leases are remembered that are over", n)
	}
	if asks(Ask, "bob", "printer", 1); s.Holder("printer") != "bob" {
		t.Errorf("%q has the name that bob asks for", s.Holder("printer"))
	}
}

// Whoever announces one server after another does not fill the memory of a client, and does not hide the server that it wants.
func TestManyServers(t *testing.T) {
	r := testworld.Simulation().Alone().New(t, reactor.Config{})
	c := &Client{ID: "c", Random: rand.New(rand.NewPCG(1, 2))}
	if err := c.Start(r); err != nil {
		t.Fatal(err)
	}
	h := &hears{c}
	here := func(name string, from kernel.Addr) {
		h.DatagramReceived([]byte((&Message{Kind: Here, Server: name}).String()), from)
	}
	c.Lease("wanted", "printer", nil)
	for i := range 10 * maxServers {
		here(fmt.Sprint("server", i), Group())
	}
	here("wanted", Group())
	if n := len(c.servers); n > maxServers+1 {
		t.Errorf("%d servers are remembered", n)
	}
	if c.servers["wanted"] != Group() {
		t.Error("the server of a lease is not remembered")
	}
	at := kernel.UDPAddr(Group().IP.Addr(), 1)
	here("wanted", at)
	here("server0", at)
	if c.servers["wanted"] != at || c.servers["server0"] != at {
		t.Error("the new address of a server is not remembered")
	}
}
