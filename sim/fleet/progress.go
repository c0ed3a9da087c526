package fleet

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// Progress shows how far a [Batch] is: a bar that moves, else a line now and then. A nil
// Progress shows nothing.
type Progress struct {
	// Out is where to, usually standard error.
	Out io.Writer
	// Bar is true if Out is a terminal that can go back to the beginning of a line.
	Bar bool
	// Log, if set and without a bar, is told instead of Out.
	Log *slog.Logger

	b    *Batch
	tick reactor.DelayedCall
	seen bool // the bar is on the screen
}

// How often a bar and a line are printed.
const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
)

func (p *Progress) start(b *Batch) {
	if p == nil {
		return
	}
	every := lineEvery
	if p.Bar {
		every = barEvery
	}
	p.b = b
	p.tick.Init(b.r, func() {
		p.show()
		p.tick.Reset(every)
	})
	p.tick.Reset(every)
}

// show prints how far the batch is.
func (p *Progress) show() {
	b := p.b
	took := b.r.Now() - b.began
	switch {
	case p.Bar:
		p.seen = true
		fmt.Fprintf(p.Out, "\r\x1b[K%s", b.bar(took))
	case p.Log != nil:
		p.Log.Info("progress", slog.Uint64("ran", b.sum.Ran), slog.Uint64("seeds", b.Count), slog.Uint64("failed", b.sum.Failed))
	default:
		fmt.Fprintf(p.Out, "%s: %s\n", b.World, b.standing(took))
	}
}

// clear makes room for a line.
func (p *Progress) clear() {
	if p != nil && p.seen {
		fmt.Fprint(p.Out, "\r\x1b[K")
		p.seen = false
	}
}

// end shows no more.
func (p *Progress) end() {
	if p != nil {
		p.tick.Cancel()
		p.clear()
	}
}

// bar is a line of less than 80 columns.
func (b *Batch) bar(took time.Duration) string {
	const width = 20
	full := int(float64(b.sum.Ran) / float64(b.Count) * width)
	return fmt.Sprintf("[%s%s] %s", strings.Repeat("#", full), strings.Repeat(".", width-full), b.standing(took))
}

// standing is how far b is: seeds done, failures, speed, and time left if that is known.
func (b *Batch) standing(took time.Duration) string {
	s := fmt.Sprintf("%d/%d seeds, %d failed, %.0f seeds/s", b.sum.Ran, b.Count, b.sum.Failed, b.sum.rate(took))
	if b.sum.Ran > 0 {
		left := time.Duration(float64(took) / float64(b.sum.Ran) * float64(b.Count-b.sum.Ran))
		s += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	return s
}
