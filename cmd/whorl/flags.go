package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/logqueue"
)

const description = `Serve and connect with the event-driven engine Whorl.

ENDPOINT, LISTEN and CONNECT are descriptions of places, which "whorl endpoints" lists.

Servers run until SIGINT (Ctrl-C) or SIGTERM. Then they accept no more, let the connections they have finish for
--grace, and abort those that are left; a second signal aborts them at once. Either way the status is 0: what was
aborted is in the log. Two signals within 300 ms count as one. SIGHUP has the files of certificates read
again; with --handover it starts the binary again if that has changed.

A server whose places are all stdio: or serial: ends when its client has gone: nobody else can come. The status is 1 if that
was no end in order.

Servers listen on loopback, 127.0.0.1 and ::1, unless a description says otherwise: interface=0.0.0.0 is every IPv4
address, interface=[::] every IPv6 address. A place of datagrams has one address: 127.0.0.1, or ::1 of udp6.

The commands echo, discard, chargen, forward and connect take places of datagrams, udp and unixgram, too.

If a server sends no answer to "connect", it may take the end of standard input for the end of the connection: say
--no-shutdown.

If a service manager has said so in the environment, as systemd does for a unit of Type=notify, servers tell it when they are ready, reload
and end, and a watchdog that all loops live.

Exit status: 0 after a clean end, 1 when something failed, 2 when the command line is wrong.

Examples:

    whorl echo tcp:8007
    whorl echo tcp:8007:interface=0.0.0.0
    whorl discard tcp:8009 tcp6:8010:interface=[::]
    whorl chargen tcp:8019
    whorl echo tcp:8007 udp:8007
    echo hello | whorl connect udp:localhost:8007
    whorl forward udp:5353 udp:192.0.2.1:53
    whorl forward tcp:8080 tcp:example.com:80
    whorl forward tls:8443:/etc/ssl/site.pem tcp:localhost:80
    whorl connect tcp:localhost:8007 <request >answer
    whorl connect --no-shutdown tcp:example.com:80 <request >answer
    whorl connect --raw unix:shell.sock
    whorl exec unix:shell.sock --pty -- bash
    whorl watch src
    whorl tun connect tcp:192.0.2.1:7000 --name=vpn0
    whorl sim lease --seeds 1000
    whorl help endpoints
    whorl endpoints
    whorl kernels`

// terminal is the three streams of the program.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	log      *logqueue.Queue      // between the log and err; nil: none
	manager  *activation.Notifier // the service manager of the process; nil: none
	json     bool                 // the error that ends the program is a line of JSON
}

// cli is the command line.
type cli struct {
	globals

	Echo      echoCommand      `cmd:"" help:"Send back what arrives (RFC 862)."`
	Discard   discardCommand   `cmd:"" help:"Throw away what arrives (RFC 863)."`
	Chargen   chargenCommand   `cmd:"" help:"Send lines of characters for ever (RFC 864)."`
	Forward   forwardCommand   `cmd:"" help:"Pass each connection on to another place."`
	Exec      execCommand      `cmd:"" help:"Run a program for each connection, as inetd does, with a terminal or without."`
	Upgrade   upgradeCommand   `cmd:"" help:"Replace a running server by another one, without refusing anybody."`
	Connect   connectCommand   `cmd:"" help:"Put standard input and output on a connection."`
	Watch     watchCommand     `cmd:"" help:"Write what happens to files and directories."`
	Tun       tunCommand       `cmd:"" help:"Join the networks of two hosts by a device on each (tun, tap)."`
	Sim       simCommand       `cmd:"" help:"Run programs on a simulated network, under many seeds or one."`
	Endpoints endpointsCommand `cmd:"" help:"List the places to listen and connect."`
	Kernels   kernelsCommand   `cmd:"" help:"List the kernels of this system."`
	Help      helpCommand      `cmd:"" help:"Explain a command, or the endpoints."`

	SimWorker simWorkerCommand `cmd:"" hidden:"" help:"Run seeds for a parent."`
}

// globals are the flags of every command.
type globals struct {
	Kernel    string           `placeholder:"NAME" env:"WHORL_KERNEL" help:"Kernel to run on, one of \"whorl kernels\". Without it, the best."`
	LogFormat string           `enum:"text,json" default:"text" placeholder:"FORMAT" help:"Log as text or json, on standard error (${default}). With json each line is an object, the error that ends whorl too."`
	LogLevel  string           `enum:"debug,info,warn,error" default:"info" placeholder:"LEVEL" help:"Least level to log: debug, info, warn or error (${default})."`
	Quiet     bool             `short:"q" help:"Log errors alone."`
	Grace     time.Duration    `default:"10s" placeholder:"DURATION" help:"How long connections may take to finish after a signal (${default})."`
	Loops     int              `placeholder:"N" help:"Loops of a server, each on a core; without it, one for each core, and one with --handover or for datagrams alone."`
	AccessLog bool             `help:"Log the end of each connection, and of each session of datagrams that forward has, with peer, backend, bytes, time and reason, at level info; without it, at level debug."`
	Version   kong.VersionFlag `help:"Print the version."`
}

// misplacedFlag is a usage error if one of the flags was given that have no effect here, because of why. It names the flag.
func misplacedFlag(line *kong.Context, why string, flags ...string) error {
	for _, p := range line.Path {
		if p.Flag != nil && slices.Contains(flags, p.Flag.Name) {
			return usage(fmt.Errorf("--%s: %s", p.Flag.Name, why))
		}
	}
	return nil
}

// onlyConnections and onlyDatagrams are why a flag has no effect at a place of the other kind.
func onlyConnections(place string) string {
	return "it is for connections, and " + place + " takes datagrams"
}

func onlyDatagrams(place string) string {
	return "it is for datagrams, and " + place + " takes connections"
}

// check finds what the parser cannot.
func (g *globals) check() error {
	if g.Grace < 0 {
		return usage(fmt.Errorf("--grace=%v: must not be negative", g.Grace))
	}
	if g.Loops < 0 {
		return usage(fmt.Errorf("--loops=%d: must be 1 or more, or 0 for one a core", g.Loops))
	}
	if names := native.Names(); g.Kernel != "" && !slices.Contains(names, g.Kernel) {
		return usage(fmt.Errorf("--kernel or WHORL_KERNEL: no kernel %q here, there are: %s", g.Kernel, strings.Join(names, ", ")))
	}
	return nil
}
