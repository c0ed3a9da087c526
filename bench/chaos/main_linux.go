// Command chaos puts Whorl's servers under loads that hurt, and prints a table of what was
// lost and who was starved. For its flags run go run ./chaos -help. README.md, in the folder
// above, explains the table.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/whorl-go/whorl/kernel/native"
)

const usage = `Usage: go run ./chaos [flags]

Puts a Whorl server under loads that hurt: herds, slow readers, floods, resets, too few
descriptors, a stop in the middle. Each scenario has a server of its own, in a process of
its own, and eight bystanders: echo clients that measure their round trips meanwhile.
Clients check every byte. A row fails if something was lost or wrong, if a bystander or the
loop waited for more than a second, or if the server keeps something afterwards. Then
the exit status is 1. Only loopback addresses are used, and namespaces that end with the
program.

  go run ./chaos                     everything, under a minute
  go run ./chaos -short              a look, under 15 seconds; for CI
  go run ./chaos -list               the scenarios
  go run ./chaos -run herd,stop      these; each name is a part of the scenario's name
  go run ./chaos -kernel poll        on another kernel
  go run ./chaos -run push -seconds 60    the same load again for a minute

Flags:
`

// options are the flags of the command line, and what follows from them.
type options struct {
	short, list bool
	only        string
	kernel      string
	seconds     float64
	files       int           // descriptors that this process may have
	quiet       time.Duration // how long bystanders are measured without load
	during      time.Duration // how long a load is repeated
}

// scenario is one row.
type scenario struct {
	name, about string
	run         func(*world) error
}

func scenarios() []scenario {
	return []scenario{
		{"herd", "all clients connect at once, get an echo, and close at once", herd},
		{"close-at-once", "many clients, which have all been served, close at once", closeAtOnce},
		{"timers", "very many delayed calls that are due at one moment", timers},
		{"slow-readers", "clients ask for 8 MiB, stop in the middle, and go on later", slowReaders},
		{"stuck-readers", "clients that never go on: CloseTimeout ends them", stuckReaders},
		{"push", "producers that push as fast as they may, to fast readers", push},
		{"hello-flood", "ClientHellos from one address, beyond MaxPendingPerPeer, beside good clients", helloFlood},
		{"hello-flood-many", "ClientHellos from many addresses, beside good clients", helloFloodMany},
		{"record-flood", "records of one byte, and KeyUpdates", recordFlood},
		{"refuse", "a factory that refuses, while nobody reads the log", refuse("nil")},
		{"panic", "a factory that panics, while nobody reads the log", refuse("panic")},
		{"descriptors", "more clients than descriptors", descriptors},
		{"descriptors-loops", "the same, on two loops", descriptorsLoops},
		{"descriptors-lingering", "more clients than descriptors, while closed connections linger", descriptorsLingering},
		{"resets", "clients reset at every moment", resets},
		{"early-answer", "clients upload 3 MiB, and only then read the answer that refused it", earlyAnswer},
		{"stop", "SIGTERM while clients come, wait in the queue and are in the middle of requests", stop},
		{"stop-hanging", "a second signal while something hangs", stopHanging},
		{"join", "joined pairs whose peers vanish", join},
		{"link-down", "a peer between namespaces disappears", linkDown},
		{"lossy-link", "a transfer between namespaces over a link that loses packets", lossyLink},
	}
}

func main() {
	err := run(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// modes are the processes that startChild starts.
func modes() map[string]func(string) error {
	return map[string]func(string) error{"serve": serve, "bystand": bystand, "namespace": namespace, "peer": peer}
}

func run(args []string) error {
	if len(args) == 2 && modes()[args[0]] != nil {
		return modes()[args[0]](args[1])
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range scenarios() {
			fmt.Printf("%-22s %s\n", s.name, s.about)
		}
		return nil
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	var rows []*row
	failed := 0
	for _, s := range scenarios() {
		if !o.wants(s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", s.name, s.about)
		r := o.play(s)
		rows = append(rows, r)
		if len(r.Failures) > 0 {
			failed++
		}
		select {
		case <-interrupted:
			report(os.Stdout, rows)
			return errors.New("interrupted")
		default:
		}
	}
	report(os.Stdout, rows)
	if failed > 0 {
		return fmt.Errorf("%d of %d scenarios failed", failed, len(rows))
	}
	return nil
}

// play runs a scenario.
func (o *options) play(s scenario) *row {
	w := &world{options: o, row: &row{Name: s.name, Unit: "conns"}}
	start := time.Now()
	if err := s.run(w); err != nil {
		w.fail("%v", err)
	}
	w.finish()
	w.Took = time.Since(start)
	return w.row
}

// mostSeconds is the greatest -seconds: a year.
const mostSeconds = 365 * 24 * 3600

func parse(args []string) (*options, error) {
	o := &options{quiet: time.Second, files: raiseFileLimit()}
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	f.BoolVar(&o.short, "short", false, "fewer clients and shorter loads")
	f.BoolVar(&o.list, "list", false, "list the scenarios")
	f.StringVar(&o.only, "run", "", "run the scenarios whose names have one of these parts, with commas between them")
	f.StringVar(&o.kernel, "kernel", "", "the servers' kernel: "+strings.Join(native.Names(), ", ")+"; without it, the best")
	f.Float64Var(&o.seconds, "seconds", 0, "repeat each load for so many seconds; without it, once")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.during = time.Duration(o.seconds * float64(time.Second)) // checked below
	if o.short {
		o.quiet = 150 * time.Millisecond
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("%q is no flag; scenarios are chosen by -run", f.Arg(0))
	case !(o.seconds >= 0 && o.seconds <= mostSeconds):
		return nil, fmt.Errorf("-seconds %v: must be from 0 to %v", o.seconds, mostSeconds)
	case o.kernel != "" && !slices.Contains(native.Names(), o.kernel):
		return nil, fmt.Errorf("-kernel %q: this machine has %s", o.kernel, strings.Join(native.Names(), ", "))
	case !slices.ContainsFunc(scenarios(), func(s scenario) bool { return o.wants(s.name) }):
		return nil, fmt.Errorf("-run %q: no scenario; -list names them", o.only)
	}
	return o, nil
}

func (o *options) wants(name string) bool {
	for part := range strings.SplitSeq(o.only, ",") {
		if strings.Contains(name, strings.TrimSpace(part)) {
			return true
		}
	}
	return false
}

// size returns how many clients a scenario has: no more than this process and the server have
// descriptors for, at each so many for a client.
func (o *options) size(full, short, each int) int {
	n, files := full, o.files
	if o.short {
		n = short
	}
	if o.kernel == "select" {
		files = min(files, 1024)
	}
	return min(n, (files-100)/each)
}

// raiseFileLimit raises the limit on descriptors to what is allowed, and returns it. Children
// inherit it.
func raiseFileLimit() int {
	const enough = 12_000
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	want := min(l.Max, enough)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: want, Max: l.Max}); err != nil {
		return int(min(l.Cur, enough))
	}
	return int(want)
}
