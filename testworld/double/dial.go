package double

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/testworld"
)

// Dial is one call of Kernel.Dial. It goes on until Succeed, Fail, or the reactor gives it up.
type Dial struct {
	// Addr and Options are the arguments. Addr is the address, after the look-up of a name.
	Addr    kernel.Addr
	Options kernel.DialOptions
	// Err is why the call itself was refused.
	Err error

	state DialState
	conn  *dialled
	far   *testworld.Listener // of the test: it stands for whoever is at Addr
	k     *Kernel
}

// DialState says how a [Dial] stands.
type DialState uint8

// The states of a Dial.
const (
	Dialling  DialState = iota // as long as the test decides nothing
	Succeeded                  // by Succeed
	Failed                     // by Fail, or refused at once
	GivenUp                    // by the reactor: StopConnecting, Disconnect, a timeout, or another address was faster
)

// String is "dialling", "succeeded", "failed" or "given up".
func (s DialState) String() string {
	return [...]string{"dialling", "succeeded", "failed", "given up"}[s]
}

// State tells how it stands.
func (d *Dial) State() DialState { return d.state }

// Dial records the call. The conn stays unconnected until the test decides.
func (k *Kernel) Dial(a kernel.Addr, o *kernel.DialOptions) (kernel.Conn, error) {
	d := &Dial{Addr: a, k: k}
	if o != nil {
		d.Options = *o
	}
	k.Dials = append(k.Dials, d)
	if d.Err = k.checkDial(a, &d.Options); d.Err == nil {
		d.conn, d.Err = k.dial(d)
	}
	if d.Err != nil {
		d.state = Failed
		return nil, d.Err
	}
	return d.conn, nil
}

func (k *Kernel) checkDial(a kernel.Addr, o *kernel.DialOptions) error {
	if err := kernel.CheckAddr(kernel.OpConnect, a); err != nil {
		return err
	}
	return kernel.CheckDial(a, o)
}

// dial connects to a listener of the test. What the reactor could hear of it is held back, so for the reactor the attempt
// goes on.
func (k *Kernel) dial(d *Dial) (*dialled, error) {
	d.far = k.w.Listener(k.t, k.r)
	c, err := k.Kernel.Dial(d.far.Addr(), nil)
	if err != nil {
		return nil, err
	}
	return &dialled{Conn: c, d: d}, nil
}

// dialled is the conn of a Dial.
type dialled struct {
	kernel.Conn
	d     *Dial
	token uint32
	armed kernel.Ready
	err   error // of Fail
}

// Unwrap returns the conn of the simulation.
func (c *dialled) Unwrap() kernel.Conn { return c.Conn }

// Remote is the address that was dialled.
func (c *dialled) Remote() kernel.Addr { return c.d.Addr }

// Connected tells what the test has decided.
func (c *dialled) Connected() error {
	switch c.d.state {
	case Dialling:
		return kernel.ErrAgain
	case Failed:
		return c.err
	}
	return c.Conn.Connected()
}

// Close gives an attempt up that goes on.
func (c *dialled) Close() error {
	c.giveUp()
	return c.Conn.Close()
}

// Abort is Close for an attempt that goes on.
func (c *dialled) Abort() error {
	c.giveUp()
	return c.Conn.Abort()
}

func (c *dialled) giveUp() {
	if c.d.state == Dialling {
		c.d.state = GivenUp
	}
}

// arm tells the kernel below what the reactor waits for, once the test has decided.
func (c *dialled) arm(token uint32, r kernel.Ready) error {
	c.token, c.armed = token, r
	if c.d.state == Dialling {
		return nil
	}
	return c.d.k.Kernel.Arm(c.Conn, token, r)
}

// Succeed has the dial succeed, turns the reactor until it has noticed, and returns the far end. It fails the test
// if the dial is over. It is not for callbacks.
func (d *Dial) Succeed() *testworld.Peer {
	d.k.t.Helper()
	d.mustGoOn(Succeeded)
	p := d.far.Accept()
	d.decide(Succeeded, nil)
	return p
}

// Fail has the dial fail with err, and turns the reactor until it has noticed. err is what a kernel returns, such as
// kernel.ErrRefused or kernel.ErrNoRoute; nil is kernel.ErrRefused. It fails the test if the dial is over. It is not for
// callbacks.
func (d *Dial) Fail(err error) {
	d.k.t.Helper()
	d.mustGoOn(Failed)
	if err == nil {
		err = kernel.ErrRefused
	}
	d.decide(Failed, err)
}

func (d *Dial) mustGoOn(s DialState) {
	d.k.t.Helper()
	if d.state != Dialling {
		d.k.t.Fatalf("the dial of %v cannot be made %v: it is %v", d.Addr, s, d.state)
	}
}

// decide ends an attempt, and has the reactor told.
func (d *Dial) decide(s DialState, err error) {
	d.k.t.Helper()
	d.state, d.conn.err = s, err
	d.far.Close()
	if err := d.conn.arm(d.conn.token, d.conn.armed); err != nil {
		d.k.t.Fatalf("arming the dial of %v: %v", d.Addr, err)
	}
	testworld.Turns(d.k.t, d.k.r, 3)
}
