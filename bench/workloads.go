package main

import (
	"fmt"
	"strings"
)

// The kinds of load.
const (
	kindEcho  = "echo"  // messages over connections that stay
	kindChurn = "churn" // connect, one message, close
	kindStorm = "storm" // the same, all at the same moment
	kindIdle  = "idle"  // connections that do nothing
	kindSim   = "sim"   // no load: a simulated world
)

// workload is one kind of load and its size.
type workload struct {
	name        string
	kind        string
	conns       int // at a time
	size        int // bytes of a message
	outstanding int // messages outstanding on each connection
	about       string
	tls         bool
	resume      bool   // resume TLS sessions
	usual       string // servers if none are chosen; "": usualPlain or usualTLS
}

const (
	usualPlain = "whorl,net,netpoll"
	usualTLS   = "whorl,net"
)

// workloads are all workloads, in the order in which they run.
var workloads = []workload{
	{name: "echo100", kind: kindEcho, conns: 100, size: 64, outstanding: 1, about: "64 B on 100 connections, one message outstanding on each"},
	{name: "echo1000", kind: kindEcho, conns: 1000, size: 64, outstanding: 1, about: "64 B on 1000 connections, one outstanding on each"},
	{name: "pipe100", kind: kindEcho, conns: 100, size: 64, outstanding: 16, about: "64 B on 100 connections, 16 outstanding on each"},
	{name: "echo1k", kind: kindEcho, conns: 100, size: 1 << 10, outstanding: 1, about: "1 KiB on 100 connections, one outstanding on each"},
	{name: "echo16k", kind: kindEcho, conns: 100, size: 16 << 10, outstanding: 1, about: "16 KiB on 100 connections, one outstanding on each"},
	{name: "churn", kind: kindChurn, conns: 32, size: 64, outstanding: 1, about: "connect, one message of 64 B, close; 32 at a time"},
	{name: "one", kind: kindEcho, conns: 1, size: 64, outstanding: 1, about: "64 B there and back on a single connection"},
	{name: "idle", kind: kindIdle, conns: 10000, size: 64, outstanding: 1, about: "memory of 10,000 connections, new and used once"},
	{name: "tlsconn", kind: kindChurn, tls: true, conns: 8, size: 64, outstanding: 1, about: "TLS 1.3: connect, handshake, one message of 64 B, close; 8 at a time"},
	{name: "tlsresume", kind: kindChurn, tls: true, resume: true, conns: 8, size: 64, outstanding: 1, about: "the same, sessions resumed"},
	{name: "tls64", kind: kindEcho, tls: true, conns: 50, size: 64, outstanding: 1, about: "TLS: 64 B on 50 connections, one outstanding on each"},
	{name: "tls16k", kind: kindEcho, tls: true, conns: 50, size: 16 << 10, outstanding: 1, about: "TLS: 16 KiB on 50 connections, one outstanding on each"},
	{name: "tlsstream", kind: kindEcho, tls: true, conns: 4, size: 64 << 10, outstanding: 4, about: "TLS: 64 KiB on 4 connections, 4 outstanding on each"},
	{name: "tlsidle", kind: kindIdle, tls: true, conns: 5000, size: 64, outstanding: 1, usual: "whorl,whorl-shrink,net", about: "TLS: memory of 5,000 connections, new and used once"},
	{name: "tlsstorm", kind: kindStorm, tls: true, conns: 1000, size: 64, outstanding: 1, about: "TLS: 1000 clients shake hands at once, and how late calls of the server's loop are meanwhile"},
	{name: "simevents", kind: kindSim, about: "simulation: two hosts, ten connections, a message there and back on each without end"},
	{name: "simday", kind: kindSim, about: "simulation: a day of ten hosts, each of which sends a message a second"},
}

// group is the name of the group that w belongs to.
func (w *workload) group() string {
	switch {
	case w.tls:
		return "tls"
	case w.kind == kindSim:
		return "sim"
	}
	return "plain"
}

// servers lists the servers to measure if the command line names none.
func (w *workload) servers() string {
	switch {
	case w.usual != "":
		return w.usual
	case w.tls:
		return usualTLS
	}
	return usualPlain
}

// unit says what is counted.
func (w *workload) unit() string {
	switch w.kind {
	case kindChurn, kindStorm:
		return "conn"
	case kindSim:
		return "event"
	}
	return "msg"
}

// chooseWorkloads returns the workloads of a comma-separated list of names and groups, in
// the order of the list. An empty list stands for all.
func chooseWorkloads(list string) ([]workload, error) {
	if list == "" {
		return workloads, nil
	}
	var chosen []workload
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		before := len(chosen)
		for _, w := range workloads {
			if w.name == name || w.group() == name {
				chosen = append(chosen, w)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("no workload or group %q; -list names them", name)
		}
	}
	return chosen, nil
}

// choice is one server to measure. Two may have the same name: comparing a server with
// itself shows how far ratios vary today.
type choice struct{ label, name string }

// chooseServers returns the servers of a comma-separated list. known tells whether a name
// exists.
func chooseServers(list string, known func(string) bool) ([]choice, error) {
	var chosen []choice
	count := make(map[string]int)
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if !known(name) {
			return nil, fmt.Errorf("no server %q; -list names them", name)
		}
		label := name
		if count[name]++; count[name] > 1 {
			label = fmt.Sprintf("%s#%d", name, count[name])
		}
		chosen = append(chosen, choice{label, name})
	}
	return chosen, nil
}

// reference returns the label that ratios refer to: net, or else the first. Without
// servers, each workload uses its own, which include net.
func reference(servers []choice) string {
	if len(servers) == 0 {
		return "net"
	}
	for _, s := range servers {
		if s.label == "net" {
			return s.label
		}
	}
	return servers[0].label
}
