package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A scenario between namespaces runs in a process with a namespace of its own. It starts the
// server there, and a peer in a second namespace. Both are joined by a pair of links, and
// nothing else is reachable.

const (
	nearIP   = "10.99.0.1"
	farIP    = "10.99.0.2"
	nearLink = "chaos0"
	farLink  = "chaos1"
)

// between is what a process with a namespace is told.
type between struct {
	Short  bool
	Kernel string
	Lossy  bool
}

func linkDown(w *world) error { return w.between(false) }

func lossyLink(w *world) error { return w.between(true) }

// between has a scenario run in a namespace, and takes its row.
func (w *world) between(lossy bool) error {
	if _, err := exec.LookPath("ip"); err != nil {
		w.Impossible = "there is no ip(8)"
		return nil
	}
	spec := between{Short: w.short, Kernel: w.kernel, Lossy: lossy}
	c, err := startChild("namespace", spec, false, syscall.CLONE_NEWUSER|syscall.CLONE_NEWNET)
	if err != nil {
		w.Impossible = "a namespace: " + err.Error()
		return nil
	}
	defer c.stop()
	got, err := ask[row](c, "")
	if err != nil {
		return err
	}
	got.Name = w.Name
	*w.row = got
	return nil
}

// namespace runs a scenario in the namespace of this process.
func namespace(text string) error {
	var spec between
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	o := &options{short: spec.Short, kernel: spec.Kernel, quiet: 100 * time.Millisecond, files: 1024}
	w := &world{options: o, row: &row{Unit: "conns"}}
	if err := w.overLink(spec.Lossy); err != nil {
		w.fail("%v", err)
	}
	return json.NewEncoder(os.Stdout).Encode(w.row)
}

// ip runs ip(8) or another program, and fails with what it says.
func ip(command string) error {
	words := strings.Fields(command)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// linkUp makes the two links. p is the process in the other namespace.
func linkUp(p *child) error {
	for _, command := range []string{
		"ip link set lo up",
		fmt.Sprintf("ip link add %s type veth peer name %s netns %d", nearLink, farLink, p.cmd.Process.Pid),
		"ip addr add " + nearIP + "/24 dev " + nearLink,
		"ip link set " + nearLink + " up",
	} {
		if err := ip(command); err != nil {
			return err
		}
	}
	// It belongs to the namespace: what is not acknowledged is given up within seconds.
	return os.WriteFile("/proc/sys/net/ipv4/tcp_retries2", []byte("3"), 0)
}

// overLink starts the peer, the links and the server, and then runs one of both scenarios.
func (w *world) overLink(lossy bool) error {
	p, err := startChild("peer", lossy, false, syscall.CLONE_NEWNET)
	if err != nil {
		w.Impossible = "a second namespace: " + err.Error()
		return nil
	}
	defer p.stop()
	if err := linkUp(p); err != nil {
		w.Impossible = err.Error()
		return nil
	}
	how := ""
	if lossy {
		if how, err = lose(); err != nil {
			w.Impossible = "loss: " + err.Error()
			return nil
		}
	}
	return w.run(serverSpec{Address: nearIP, KeepAlive: true}, func(int) error {
		got, err := ask[peerResult](p, w.hello.Main)
		if err != nil {
			return err
		}
		if got.Failed != "" {
			return errors.New(got.Failed)
		}
		if lossy {
			w.Unit = "bytes"
			w.Did = fmt.Sprintf("%d clients behind a link that loses packets (%s) got %d KiB each", peerClients, how, lossyBytes>>10)
			w.count(peerClients*lossyBytes, got.Got, got.Wrong)
			return nil
		}
		w.Did = fmt.Sprintf("%d idle clients and %d that read were behind a link that went down", peerClients/2, peerClients/2)
		if err := ip("ip link set " + nearLink + " down"); err != nil {
			return err
		}
		took, err := w.gone(15 * time.Second)
		if err == nil {
			w.count(peerClients, peerClients, 0)
			w.note("the server knew after %s ms", ms(took))
		}
		return err
	})
}

// lose makes the link lose packets, and says how.
func lose() (how string, err error) {
	if err = ip("tc qdisc add dev " + nearLink + " root netem loss 2%"); err == nil {
		return "netem, 2 %", nil
	}
	// Without netem: a queue that is too short for what is sent.
	return "a queue of 16 KB", ip("tc qdisc add dev " + nearLink + " root tbf rate 40mbit burst 8kb limit 16kb")
}

const (
	peerClients = 4
	lossyBytes  = 512 << 10
)

// peerResult is what a peer has got.
type peerResult struct {
	Got, Wrong int64
	Failed     string
}

// peer is the process in the other namespace. It is told where the server is.
func peer(text string) error {
	lossy := text == "true"
	in := bufio.NewScanner(os.Stdin)
	if !in.Scan() {
		return nil
	}
	for _, command := range []string{"ip addr add " + farIP + "/24 dev " + farLink, "ip link set " + farLink + " up"} {
		if err := ip(command); err != nil {
			return err
		}
	}
	var r peerResult
	var keep []net.Conn
	for i := range peerClients {
		line, n := fmt.Sprintf("push %d %d\n", i, 1<<30), int64(100_000)
		switch {
		case lossy:
			line, n = fmt.Sprintf("get %d %d\n", i, lossyBytes), lossyBytes
		case i%2 == 0:
			line, n = "half\n", 0
		}
		c, err := dial(in.Text(), "", line)
		v := verifier{seed: i}
		if err == nil {
			keep = append(keep, c)
			err = v.readPattern(c, n)
		}
		if err != nil {
			r.Failed = err.Error()
		}
		r.Got += v.got
		r.Wrong += v.wrong
	}
	err := json.NewEncoder(os.Stdout).Encode(r)
	in.Scan() // until the end
	for _, c := range keep {
		c.Close()
	}
	return err
}
