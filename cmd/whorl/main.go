// Whorl serves and connects from the command line. It has small servers (echo,
// discard, chargen), a forwarder, and a client that joins standard input and output
// with a connection. It watches files, and joins the networks of two hosts. A description names each place to listen or connect; package
// endpoint defines descriptions.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/logqueue"
	"github.com/whorl-go/whorl/service"
)

func main() {
	if err := checkFiles(); err != nil {
		fmt.Fprintln(os.Stderr, "whorl:", err)
		os.Exit(statusFailed)
	}
	// The first timer has the runtime open its descriptors, as long as there are some. Whoever
	// finds none later gets an error; the runtime would end the program.
	_, cancel := context.WithTimeout(context.Background(), time.Hour)
	cancel()
	os.Exit(run(os.Args[1:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, manager: activation.TakeNotifier()}, builtIn()))
}

// The exit statuses.
const (
	statusDone   = 0
	statusFailed = 1
	statusUsage  = 2
)

// run parses args, runs the command that they name and returns the exit status. k
// has the worlds for simulation.
func run(args []string, t terminal, k known) int {
	var c cli
	t.log = logqueue.New(0)
	out := &printed{to: t.out}
	parser, err := newParser(&c, t, out)
	if err != nil {
		return exitStatus(err, t)
	}
	ctx, err := parser.Parse(args)
	t.json = wantsJSON(&c.globals, args)
	if err == nil {
		err = c.check()
	} else {
		err = fmt.Errorf("%w (try: whorl --help)", usage(err))
	}
	if err == nil {
		err = ctx.Run(&c.globals, t, parser, k)
	}
	if out.err != nil { // the command line was right, whatever the parser says
		err = unwritten(out.err)
	}
	return exitStatus(err, t)
}

// exitStatus prints what is left of the log, and the error on one line, and returns the exit
// status for it.
func exitStatus(err error, t terminal) int {
	switch {
	case err == nil:
		t.finish("")
		return statusDone
	case errors.Is(err, errQuiet):
		t.finish("")
		return statusFailed
	}
	if s, ok := errors.AsType[signalled](err); ok {
		t.finish("")
		endBy(s.Signal)
		return statusFailed
	}
	status := service.ExitCode(err)
	if errors.Is(err, kernel.ErrTooManyFiles) {
		err = fmt.Errorf("%w (%s)", err, moreFiles)
	}
	t.finish(t.lastLine(err, status))
	return status
}

// lastLine is the line of the error that ends the program. It is one of the log if that is JSON, so that a program can read each line.
func (t terminal) lastLine(err error, status int) string {
	if !t.json {
		return fmt.Sprintln("whorl:", err)
	}
	var line bytes.Buffer
	slog.New(slog.NewJSONHandler(&line, nil)).Error("whorl has failed", slog.Any("err", err), slog.Int("status", status))
	return line.String()
}

// wantsJSON tells whether the log is JSON. If args are wrong, the parser has set nothing.
func wantsJSON(g *globals, args []string) bool {
	for i, a := range args {
		if g.LogFormat == "" && (a == "--log-format=json" || a == "--log-format" && i+1 < len(args) && args[i+1] == "json") {
			return true
		}
	}
	return g.LogFormat == "json"
}

// errQuiet ends the program with status 1 and no message, because the reader of the
// output has gone.
var errQuiet = errors.New("broken pipe")

// signalled ends the program by the signal that has stopped it, as if it had not taken any.
type signalled struct{ os.Signal }

// Error implements error.
func (s signalled) Error() string { return s.String() }

// usage makes err a mistake in the command line: status 2.
func usage(err error) error { return &service.ExitError{Code: statusUsage, Err: err} }

// printed is standard output for the parser, which does not tell a failure to write the help from a mistake in the
// command line, and ignores one to write the version.
type printed struct {
	to  io.Writer
	err error // the first
}

// Write implements io.Writer.
func (p *printed) Write(b []byte) (n int, err error) {
	n, err = p.to.Write(b)
	if p.err == nil {
		p.err = err
	}
	return n, err
}

// unwritten is the error of the program if err is that of writing to standard output.
func unwritten(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("standard output: %w", bare(err))
}

// newParser makes the parser of the command line, which prints to out.
func newParser(c *cli, t terminal, out *printed) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("whorl"),
		kong.Description(description),
		kong.Writers(out, t.err),
		kong.Exit(func(status int) { // after the help or the version
			if out.err != nil {
				status = exitStatus(unwritten(out.err), t)
			}
			os.Exit(status)
		}),
		kong.Vars{"version": buildVersion()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
}
