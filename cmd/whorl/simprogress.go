package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// progress shows how far a batch is, on standard error: a bar that moves if that is a
// terminal, else a line now and then, and nothing if it is to be quiet.
type progress struct {
	w    io.Writer
	b    *batch
	bar  bool
	log  *slog.Logger // for JSON
	tick reactor.DelayedCall
	off  bool
	seen bool // the bar is on the screen
}

// How often a bar and a line are printed.
const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
)

func newProgress(g *globals, w io.Writer, asJSON bool, b *batch) *progress {
	p := &progress{w: w, b: b, bar: isTerminal(w), off: g.Quiet}
	if asJSON && !p.bar {
		p.log = slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: g.level()}))
	}
	return p
}

// isTerminal tells whether w is one that can go back to the beginning of a line.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

func (p *progress) start() {
	every := lineEvery
	if p.bar {
		every = barEvery
	}
	if p.off {
		return
	}
	p.tick.Init(p.b.r, func() {
		p.show()
		p.tick.Reset(every)
	})
	p.tick.Reset(every)
}

// show prints how things stand.
func (p *progress) show() {
	b := p.b
	took := b.r.Now() - b.began
	switch {
	case p.bar:
		p.seen = true
		fmt.Fprintf(p.w, "\r\x1b[K%s", bar(b, took))
	case p.log != nil:
		p.log.Info("progress", slog.Uint64("ran", b.ran), slog.Uint64("seeds", b.count), slog.Uint64("failed", b.failed))
	default:
		fmt.Fprintf(p.w, "%s: %s\n", b.w.Name, standing(b, took))
	}
}

// clear makes room for a line.
func (p *progress) clear() {
	if p.seen {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.seen = false
	}
}

// end shows no more.
func (p *progress) end() {
	p.tick.Cancel()
	p.clear()
}

// bar is a line of less than 80 columns.
func bar(b *batch, took time.Duration) string {
	const width = 20
	full := int(float64(b.ran) / float64(b.count) * width)
	return fmt.Sprintf("[%s%s] %s", strings.Repeat("#", full), strings.Repeat(".", width-full), standing(b, took))
}

// standing is how far b is: seeds done, failures, speed, and time left if that is known.
func standing(b *batch, took time.Duration) string {
	s := fmt.Sprintf("%d/%d seeds, %d failed, %.0f seeds/s", b.ran, b.count, b.failed, b.rate(took))
	if b.ran > 0 {
		left := time.Duration(float64(took) / float64(b.ran) * float64(b.count-b.ran))
		s += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	return s
}
