// Command mutants asks whether tests notice defects. It plants one small defect at a time
// in a package, a mutant, and runs the package's tests. A mutant that no test notices has
// survived: either a test is missing, or the change makes no difference.
//
//	cd tools && go run ./mutants [-n 40] [-seed 1] [-timeout 0] [-j 2] [-tests pkg,pkg] [-skip tests] [-root ..] packages
//
// A mutant is built with go test -overlay, so the tree is never written to. Its tests run
// with a limit of time and, where the shell has ulimit -v, of memory. A mutant that runs
// into a limit is killed. One that does not compile does not count.
//
// Which mutants are drawn depends on the seed and on the code of each mutant only. The
// same seed draws the same mutants again.
//
// The file equivalent.txt lists survivors that make no difference, with the reasons.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	ctx        context.Context // ends the program
	root       string
	n          int           // mutants that are drawn in each package; 0: all
	seed       uint64        //
	timeout    time.Duration // of one run of tests; 0: by the run without a defect
	parallel   int
	memory     int // of a run, in MiB; 0: no limit
	tests      []string
	run        string // which tests, as of go test
	skip       string // which of them not
	equivalent string
	verbose    bool
}

// run runs the program. It writes the result to w.
func run(ctx context.Context, args []string, w io.Writer) error {
	o := options{ctx: ctx}
	set := flag.NewFlagSet("mutants", flag.ContinueOnError)
	set.StringVar(&o.root, "root", "..", "the directory of the module")
	set.IntVar(&o.n, "n", 40, "how many mutants to draw in each package; 0: all")
	set.Uint64Var(&o.seed, "seed", 1, "which mutants are drawn")
	set.DurationVar(&o.timeout, "timeout", 0, "limit of one run of tests; 0: ten seconds and five times the run without a defect")
	set.IntVar(&o.parallel, "j", 2, "how many mutants to test at once")
	set.IntVar(&o.memory, "memory", 4096, "address space of a run in MiB; 0: no limit")
	tests := set.String("tests", "", "packages, separated by commas, whose tests run too")
	set.StringVar(&o.run, "run", "", "run only tests that match, as in go test")
	set.StringVar(&o.skip, "skip", "", "do not run tests that match, as in go test")
	set.StringVar(&o.equivalent, "equivalent", "mutants/equivalent.txt", "the file of survivors that make no difference")
	set.BoolVar(&o.verbose, "v", false, "print each mutant")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("name the packages, such as ./retry")
	}
	if o.n < 0 || o.parallel < 1 || o.timeout < 0 || o.memory < 0 {
		return errors.New("-n, -timeout and -memory must not be negative, -j must be at least 1")
	}
	if *tests != "" {
		o.tests = strings.Split(*tests, ",")
	}
	known, err := readEquivalents(o.equivalent)
	if err != nil {
		return err
	}
	packages, err := list(o.root, set.Args())
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for i, p := range packages {
		if err := o.examine(w, p, filepath.Join(dir, fmt.Sprint(i)), known); err != nil {
			return fmt.Errorf("%s: %w", p.ImportPath, err)
		}
	}
	return nil
}
