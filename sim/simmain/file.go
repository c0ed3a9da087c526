package simmain

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/report"
)

// draw writes the page of a run.
func (c *Command) draw(r sim.Result, all []sim.TraceEvent, replay string) error {
	if c.From >= r.Now && c.From > 0 {
		return usage("--from=%v: the run is over at %s", c.From, report.Moment(r.Now))
	}
	p := report.Page{Result: r, Events: all, Replay: replay, From: c.From, Until: c.Until}
	if err := writeFile(c.Page, p.Write); err != nil {
		return fmt.Errorf("%s=%s: %w (nothing was written there)", c.pageFlag(), c.Page, bare(err))
	}
	return nil
}

// writeFile fills the file of that name. A reader sees the old file or all of the new one:
// a file beside it is written, and renamed when it is whole. A device or a pipe is written
// to as it is.
func writeFile(name string, write func(io.Writer) error) (err error) {
	if to, err := filepath.EvalSymlinks(name); err == nil {
		name = to // the link stays
	}
	st, err := os.Stat(name)
	if err == nil && st.IsDir() {
		return fmt.Errorf("it is a directory: name a file in it")
	}
	if err == nil && !st.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return fill(f, write)
	}
	beside := fmt.Sprintf("%s.%d.tmp", name, os.Getpid())
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if err := fill(f, write); err != nil {
		_ = os.Remove(beside) // that it failed is what counts
		return err
	}
	if err := os.Rename(beside, name); err != nil {
		_ = os.Remove(beside)
		return err
	}
	return nil
}

// bare is err without the operation and path, which the message has already.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// fill writes and closes f.
func fill(f *os.File, write func(io.Writer) error) error {
	w := bufio.NewWriter(f)
	err := write(w)
	if err == nil {
		err = w.Flush()
	}
	if shut := f.Close(); err == nil {
		err = shut
	}
	return err
}
