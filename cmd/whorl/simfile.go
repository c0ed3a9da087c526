package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/report"
)

// draw writes the page of a run.
func (c *simCommand) draw(r sim.Result, all []sim.TraceEvent, replay string) error {
	if c.From >= r.Now && c.From > 0 {
		return usage(fmt.Errorf("--from=%v: the run is over at %s", c.From, report.Moment(r.Now)))
	}
	p := report.Page{Result: r, Events: all, Replay: replay, From: c.From, Until: c.Until}
	if err := writeFile(c.HTML, p.Write); err != nil {
		return fmt.Errorf("--html=%s: %w (nothing was written there)", c.HTML, bare(err))
	}
	return nil
}

// writeFile has write fill the file of that name. Whoever looks at it sees the file as it
// was or all of the new one: it is written beside, and takes the place when it is whole.
// What is no ordinary file, such as a device, is written to as it is.
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
