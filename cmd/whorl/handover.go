package main

import (
	"log/slog"
	"os"
	"os/exec"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/reactor"
)

// handoverFlags are the flags of servers that can be replaced.
type handoverFlags struct {
	Handover string `placeholder:"PATH" help:"Take the sockets of the server that offers them at PATH, a UNIX socket; then offer them there. SIGHUP starts the binary again if it has changed."`
}

// replacer starts the program's binary again when that has changed. The new process takes the sockets over by itself.
type replacer struct {
	log     *slog.Logger
	manager *activation.Notifier
	path    string // of the binary
	first   os.FileInfo
	running bool // a process was started, and has not ended
}

func newReplacer(log *slog.Logger, manager *activation.Notifier) *replacer {
	x := &replacer{log: log, manager: manager}
	if path, err := os.Executable(); err == nil {
		if at, err := os.Stat(path); err == nil {
			x.path, x.first = path, at
		}
	}
	return x
}

// changed tells whether another binary is at the path than when this one was started.
func (x *replacer) changed() bool {
	if x.first == nil {
		return false
	}
	now, err := os.Stat(x.path)
	if err != nil {
		return false // it is being replaced, or was removed
	}
	return !os.SameFile(now, x.first) || now.Size() != x.first.Size() || !now.ModTime().Equal(x.first.ModTime())
}

// hangup starts the successor if the binary has changed, and tells whether it has.
func (x *replacer) hangup(r *reactor.Reactor) bool {
	if x.running || !x.changed() {
		return false
	}
	x.running = true
	c := exec.Command(x.path, os.Args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), x.manager.Environ()...) // it will be the service
	x.log.Info("the binary has changed: starting a successor", slog.String("binary", x.path))
	ended := func(err error) {
		x.running = false
		x.log.Warn("the successor has ended", slog.Any("err", err))
	}
	err := r.CallInThread(func() {
		if err := c.Start(); err != nil {
			r.Post(func() { ended(err) })
			return
		}
		go func() {
			err := c.Wait()
			r.Post(func() { ended(err) })
		}()
	})
	if err != nil {
		ended(err)
	}
	return true
}
