package main

import (
	"fmt"
	"slices"
	"strings"
)

// The kinds of load.
const (
	kindEcho  = "echo"  // messages over connections that stay
	kindChurn = "churn" // connect, one message, close
	kindIdle  = "idle"  // connections that do nothing
)

// workload is one kind of load and its size.
type workload struct {
	name        string
	kind        string
	conns       int // connections at a time
	size        int // bytes of a message
	outstanding int // messages on their way, per connection
	about       string
}

// workloads are all there are, in the order they are run.
var workloads = []workload{
	{"echo100", kindEcho, 100, 64, 1, "64 B on 100 connections, one message outstanding on each"},
	{"echo1000", kindEcho, 1000, 64, 1, "64 B on 1000 connections, one outstanding on each"},
	{"pipe100", kindEcho, 100, 64, 16, "64 B on 100 connections, 16 outstanding on each"},
	{"echo1k", kindEcho, 100, 1 << 10, 1, "1 KiB on 100 connections, one outstanding on each"},
	{"echo16k", kindEcho, 100, 16 << 10, 1, "16 KiB on 100 connections, one outstanding on each"},
	{"churn", kindChurn, 32, 64, 1, "connect, one message of 64 B, close; 32 at a time"},
	{"one", kindEcho, 1, 64, 1, "64 B there and back on a single connection"},
	{"idle", kindIdle, 10000, 64, 1, "memory of 10,000 connections, new and used once"},
}

// unit is what is counted.
func (w *workload) unit() string {
	if w.kind == kindChurn {
		return "conn"
	}
	return "msg"
}

// chooseWorkloads finds the workloads of a comma-separated list, in its order;
// all of them if it is empty.
func chooseWorkloads(list string) ([]workload, error) {
	if list == "" {
		return workloads, nil
	}
	var chosen []workload
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(workloads, func(w workload) bool { return w.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("no workload %q; -list names them", name)
		}
		chosen = append(chosen, workloads[i])
	}
	return chosen, nil
}

// choice is one server to measure. Two may be of one name: comparing a server
// with itself shows how far ratios stray today.
type choice struct{ label, name string }

// chooseServers makes choices of a comma-separated list. known tells which names
// there are.
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

// reference is the label that ratios refer to: net, or else the first.
func reference(servers []choice) string {
	for _, s := range servers {
		if s.label == "net" {
			return s.label
		}
	}
	return servers[0].label
}
