// Command bench compares Whorl with other ways to serve on this machine. For its flags
// run go run . -help. README.md explains the results.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const usage = `Usage: go run . [flags]

Runs echo servers, without and with TLS, side by side under the same load. It prints
how many messages each answers per second of its own CPU time. All servers run at
once, and all but one are idle. They take turns of a fraction of a second. Ratios are
computed between turns that follow each other. Only loopback addresses are used. Every
byte that comes back is checked. A server that stalls, dies or sends wrong bytes is
reported and left out. At the end, bench runs worlds of package sim, on one CPU.

  go run .                                  everything; under eight minutes
  go run . -quick                           a first look; under two minutes
  go run . -workloads echo100,churn         only these; tls, sim and plain are groups
  go run . -servers whorl,whorl-poll,net    only these; ratios refer to net
  go run . -servers net,net                 how much equal things differ today
  go run . redis                            Redis servers; go run . redis -help
  go test -bench .                          delayed calls and Post, in process

Flags:
`

// options are the flags of the command line.
type options struct {
	quick, json, markdown, list bool
	rounds, loadCPU, workers    int
	workloads, servers, cpus    string
	plot                        string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == "redis" {
		return redis(args[1:])
	}
	if len(args) == 2 { // started by startChild
		switch args[0] {
		case "serve":
			return serve(args[1])
		case "load":
			return load(args[1], os.Stdin, os.Stdout)
		case "sim":
			return simulate(args[1], os.Stdin, os.Stdout)
		case "redis-serve":
			return redisServe(args[1])
		}
	}
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case o.list:
		list(os.Stdout)
		return nil
	}
	return o.measure()
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "short slices and few of them")
	f.IntVar(&o.rounds, "rounds", 0, "how many `sets` of slices each workload gets (default 15; 5 with -quick)")
	f.StringVar(&o.workloads, "workloads", "", "comma-separated `names` and groups: plain, tls, sim (default all)")
	f.StringVar(&o.servers, "servers", "", "comma-separated `names`; one may stand twice (default "+usualPlain+"; with TLS "+usualTLS+"; tlsidle also whorl-shrink)")
	f.IntVar(&o.workers, "workers", 0, "how many TLS `handshakes` Whorl computes at a time (default as tlsio: one less than the servers' CPUs, at least one)")
	f.StringVar(&o.cpus, "cpus", "", "the `CPUs` of the servers, such as 0 or 0,2, or all to pin nothing (default the first one); GOMAXPROCS follows")
	f.IntVar(&o.loadCPU, "load-cpu", -1, "the `CPU` of the load generator (default the first that is not the servers')")
	f.BoolVar(&o.json, "json", false, "print every sample as JSON instead of tables")
	f.BoolVar(&o.markdown, "md", false, "print tables as markdown")
	f.StringVar(&o.plot, "plot", "", "also draw the ratios as SVG, to this `file`")
	f.BoolVar(&o.list, "list", false, "list workloads and servers, and do nothing")
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; -help tells what there is", f.Arg(0))
	}
	if o.workers < 0 {
		return o, fmt.Errorf("-workers %d: must be positive", o.workers)
	}
	if o.rounds < 0 {
		return o, fmt.Errorf("-rounds %d: must be positive", o.rounds)
	}
	return o, nil
}

func list(w io.Writer) {
	fmt.Fprintln(w, "Workloads, and the groups they are in:")
	for _, l := range workloads {
		fmt.Fprintf(w, "  %-13s %-6s %s\n", l.name, l.group(), l.about)
	}
	fmt.Fprintln(w, "Servers:")
	for _, s := range servers {
		fmt.Fprintf(w, "  %-13s %s\n", s.name, s.about)
	}
}

func (o *options) measure() error {
	chosen, err := chooseWorkloads(o.workloads)
	if err != nil {
		return err
	}
	r, err := o.runner()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var results []result
	for i := range chosen {
		res, err := r.run(ctx, &chosen[i])
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			return err
		}
		results = append(results, res)
	}
	if o.json {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", " ")
		return out.Encode(struct {
			Go, System, Reference string
			ServerCPUs, LoadCPUs  []int
			Results               []result
		}{runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, reference(r.servers), r.serverCPUs, r.loadCPUs, results})
	}
	fmt.Fprintln(r.progress)
	if o.plot != "" {
		if err := drawTo(o.plot, results, reference(r.servers)); err != nil {
			return err
		}
	}
	report(os.Stdout, results, reference(r.servers), o.markdown)
	return nil
}

// drawTo writes the drawing to a file.
func drawTo(file string, results []result, reference string) error {
	w, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(plot(w, results, reference), w.Close())
}

// runner returns a runner for the options.
func (o *options) runner() (*runner, error) {
	var servers []choice
	if o.servers != "" {
		var err error
		if servers, err = chooseServers(o.servers, isServer); err != nil {
			return nil, err
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &runner{
		exe: exe, servers: servers, workers: o.workers, progress: os.Stderr, files: raiseFileLimit(),
		sets: 15, warm: 50 * time.Millisecond, measure: 250 * time.Millisecond, idleRounds: 3,
	}
	if o.quick {
		r.sets, r.warm, r.measure, r.idleRounds = 5, 30*time.Millisecond, 120*time.Millisecond, 1
	}
	if o.rounds > 0 {
		r.sets, r.idleRounds = o.rounds, min(o.rounds, r.idleRounds)
	}
	if err := o.place(r); err != nil {
		return nil, err
	}
	fmt.Fprintf(r.progress, "%s %s/%s, servers on CPU %v, load on CPU %v, %d sets of %v a server\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, r.serverCPUs, r.loadCPUs, r.sets, r.measure)
	if cc := congestionControl(); cc == "bbr" {
		fmt.Fprintln(r.progress, "note: TCP's congestion control is bbr, which paces loopback by timers; sysctl net.ipv4.tcp_congestion_control=reno avoids that")
	}
	return r, nil
}

// place chooses the CPUs of the servers and of the load generators.
func (o *options) place(r *runner) error {
	if o.cpus == "all" {
		return nil
	}
	allowed, err := allowedCPUs()
	if err != nil {
		return err
	}
	r.serverCPUs = allowed[:1]
	if o.cpus != "" {
		r.serverCPUs = nil
		for field := range strings.SplitSeq(o.cpus, ",") {
			c, err := strconv.Atoi(strings.TrimSpace(field))
			if err != nil || !slices.Contains(allowed, c) {
				return fmt.Errorf("-cpus %q: not a CPU of this process; it may run on %v", field, allowed)
			}
			r.serverCPUs = append(r.serverCPUs, c)
		}
	}
	others := slices.DeleteFunc(slices.Clone(allowed), func(c int) bool { return slices.Contains(r.serverCPUs, c) })
	switch {
	case o.loadCPU >= 0 && !slices.Contains(allowed, o.loadCPU):
		return fmt.Errorf("-load-cpu %d: not a CPU of this process; it may run on %v", o.loadCPU, allowed)
	case o.loadCPU >= 0:
		r.loadCPUs = []int{o.loadCPU}
	case len(others) > 0:
		r.loadCPUs = others[:1]
	default:
		r.loadCPUs = allowed[len(allowed)-1:]
	}
	r.spin = !slices.Contains(r.serverCPUs, r.loadCPUs[0])
	if !r.spin {
		fmt.Fprintln(r.progress, "note: servers and load share a CPU; the scheduler is measured too")
	}
	return nil
}
