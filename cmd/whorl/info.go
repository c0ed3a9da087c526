package main

import (
	"fmt"

	"github.com/alecthomas/kong"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
)

type endpointsCommand struct{}

// Help is shown by --help.
func (*endpointsCommand) Help() string { return "Example:\n\n    whorl endpoints" }

// Run prints the grammar of descriptions.
func (*endpointsCommand) Run(t terminal) error {
	_, err := fmt.Fprint(t.out, std.Schemes(nil).Help(), `
A ':' ends a field and the first '=' in one makes it keyword=value; '\' makes the next character an ordinary one; a
value in brackets, such as [::1], may hold both. Without interface= the servers of this program listen on loopback alone:
on 127.0.0.1 and ::1, or on the one of the family that the type names. A place of datagrams has one: 127.0.0.1, or ::1 of udp6.
`)
	return unwritten(err)
}

type kernelsCommand struct{}

// Help is shown by --help.
func (*kernelsCommand) Help() string { return "Example:\n\n    whorl kernels" }

// Run prints the kernels, best first. It marks the default, and says what limits them.
func (*kernelsCommand) Run(t terminal) error {
	usual := ""
	if k, err := native.Open(""); err == nil {
		usual = kernel.NameOf(k)
		k.Close() // nothing was opened on it
	}
	for _, name := range native.Names() {
		line := name
		if name == usual {
			line += " (default)"
		}
		if k, err := native.Open(name); err == nil {
			if n := kernel.LimitsOf(k).Descriptors; n > 0 {
				line += fmt.Sprintf(" (descriptors below %d)", n)
			}
			k.Close()
		}
		if _, err := fmt.Fprintln(t.out, line); err != nil {
			return unwritten(err)
		}
	}
	return nil
}

type helpCommand struct {
	Topic string `arg:"" optional:"" help:"A command, or endpoints."`
}

// Help is shown by --help.
func (*helpCommand) Help() string { return "Example:\n\n    whorl help endpoints" }

// Run explains the topic, or everything.
func (c *helpCommand) Run(t terminal, parser *kong.Kong) error {
	if c.Topic == "endpoints" {
		return (&endpointsCommand{}).Run(t)
	}
	args := []string{"--help"}
	if c.Topic != "" {
		args = []string{c.Topic, "--help"}
	}
	if _, err := parser.Parse(args); err != nil {
		return usage(fmt.Errorf("no help on %q (try: whorl --help)", c.Topic))
	}
	return nil
}
